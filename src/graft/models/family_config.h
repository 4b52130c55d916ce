#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graft/io/config_reader.h"
#include "graft/models/decoder_options.h"

/// Pieces of config.json that several families share. Each reads its keys from the layouts of transformers 4 and 5 and throws
/// DataError naming the key. Defaults are transformers' own for a key that is absent.
namespace graft::models {

/// What the Llama family's block needs: sizes, heads, norm, tied head, activation (silu only), rotary embedding.
/// `default_key_value_heads` is transformers' default when the key is absent (0: as many as attention heads; null always means that).
void read_llama_block(const io::ConfigReader& config, DecoderOptions* decoder, int64_t default_key_value_heads,
                      int64_t default_max_positions);

/// rope_parameters (5) or rope_theta + rope_scaling (4). Sets decoder->rope and, from max_position_embeddings, decoder->max_positions.
void read_rope(const io::ConfigReader& config, DecoderOptions* decoder, int64_t max_position_embeddings);

/// layer_types → one window per layer: `window` where "sliding_attention", 0 where "full_attention". When the key is absent:
/// `window` from layer `first_sliding_layer` on. Window 0 with a sliding layer is a DataError.
void read_layer_windows(const io::ConfigReader& config, DecoderOptions* decoder, int64_t window, int64_t first_sliding_layer);

/// Whether the key is in the file at all: `"sliding_window": null` and no key mean different things.
bool is_present(const io::ConfigReader& config, const std::string& key);

/// Marks the keys that every Hugging Face config may carry and that do not change a causal decoder's forward pass, warns about
/// training-only ones that graft does not follow (dropout), and throws for what is still unread and not switched off
/// (false, [], {}, "" count as off): such a key would change the maths.
void check_nothing_is_left(const io::ConfigReader& config, const Json& json, const std::string& family);

}  // namespace graft::models
