#include "graft/models/family_config.h"

#include <algorithm>
#include <cmath>

#include "graft/base/error.h"
#include "graft/base/strings.h"

namespace graft::models {
namespace {

// Far above every published model, far below what would overflow or exhaust memory while only names and shapes are listed.
constexpr int64_t kMaxWidth = int64_t{1} << 20, kMaxLayers = 2048, kMaxHeads = 1 << 14, kMaxVocabulary = int64_t{1} << 26;
constexpr int64_t kMaxPositions = int64_t{1} << 31;

void read_heads(const io::ConfigReader& config, DecoderOptions* decoder, int64_t default_key_value_heads) {
  const int64_t heads = decoder->attention_heads = config.integer("num_attention_heads", 1, kMaxHeads);
  const bool absent = !is_present(config, "num_key_value_heads");
  decoder->key_value_heads =
      config.integer_or("num_key_value_heads", absent && default_key_value_heads > 0 ? default_key_value_heads : heads, 1, kMaxHeads);
  if (heads % decoder->key_value_heads != 0) {
    config.fail("num_key_value_heads", "a divisor of num_attention_heads (" + std::to_string(heads) + ")");
  }
  if (config.has("head_dim")) {
    decoder->head_size = config.integer("head_dim", 1, kMaxWidth);
  } else if (decoder->head_size == 0) {
    if (decoder->hidden_size % heads != 0) {
      config.fail("hidden_size", "a multiple of num_attention_heads (" + std::to_string(heads) + "), as there is no head_dim");
    }
    decoder->head_size = decoder->hidden_size / heads;
  }
  if (decoder->head_size % 2 != 0) {
    throw DataError("each attention head is " + std::to_string(decoder->head_size) + " wide; rotary position embedding needs an even width")
        .at(config.place("head_dim"));
  }
  if (decoder->head_size * heads > kMaxWidth) {
    throw DataError("num_attention_heads * head_dim is " + std::to_string(decoder->head_size * heads) + ", which no model has")
        .at(config.place("head_dim"));
  }
}

void read_activation(const io::ConfigReader& config) {
  const auto name = config.string_or("hidden_act", "silu");
  if (name != "silu" && name != "swish") {
    throw DataError("activation \"" + name + "\" is not supported; this family's MLP is silu(gate) * up")
        .at(config.place("hidden_act"))
        .nearest("silu");
  }
}

}  // namespace

bool is_present(const io::ConfigReader& config, const std::string& key) {
  const auto keys = config.keys();
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

void read_llama_block(const io::ConfigReader& config, DecoderOptions* decoder, int64_t default_key_value_heads,
                      int64_t default_max_positions) {
  decoder->vocabulary_size = config.integer("vocab_size", 1, kMaxVocabulary);
  decoder->hidden_size = config.integer("hidden_size", 1, kMaxWidth);
  decoder->intermediate_size = config.integer("intermediate_size", 1, kMaxWidth);
  decoder->layers = config.integer("num_hidden_layers", 1, kMaxLayers);
  read_heads(config, decoder, default_key_value_heads);
  read_activation(config);
  decoder->norm_epsilon = config.number_or("rms_norm_eps", 1e-6);
  if (!(decoder->norm_epsilon >= 0) || !std::isfinite(decoder->norm_epsilon)) config.fail("rms_norm_eps", "a number from 0");
  decoder->initializer_range = config.number_or("initializer_range", 0.02);
  if (!(decoder->initializer_range >= 0) || !std::isfinite(decoder->initializer_range)) config.fail("initializer_range", "a number from 0");
  decoder->tied_embeddings = config.boolean_or("tie_word_embeddings", false);
  read_rope(config, decoder, config.integer_or("max_position_embeddings", default_max_positions, 1, kMaxPositions));
}

void read_layer_windows(const io::ConfigReader& config, DecoderOptions* decoder, int64_t window, int64_t first_sliding_layer) {
  auto& windows = decoder->sliding_window;
  windows.assign(static_cast<size_t>(decoder->layers), 0);
  const auto types = config.strings("layer_types");
  if (!types.empty() && static_cast<int64_t>(types.size()) != decoder->layers) {
    throw DataError("layer_types has " + std::to_string(types.size()) + " entries for " + std::to_string(decoder->layers) + " layers")
        .at(config.place("layer_types"));
  }
  for (int64_t layer = 0; layer < decoder->layers; ++layer) {
    const auto index = static_cast<size_t>(layer);
    const std::string type =
        types.empty() ? (window > 0 && layer >= first_sliding_layer ? "sliding_attention" : "full_attention") : types[index];
    if (type == "sliding_attention") {
      if (window <= 0) {
        throw DataError("layer " + std::to_string(layer) + " is sliding_attention but no sliding window is switched on")
            .at(config.place("layer_types"))
            .hint("set sliding_window (and use_sliding_window: true for Qwen), or make the layer full_attention");
      }
      windows[index] = window;
    } else if (type != "full_attention") {
      throw DataError("layer type \"" + type + "\" is not supported")
          .at(config.place("layer_types"))
          .nearest(nearest_name(type, {"full_attention", "sliding_attention"}));
    }
  }
  if (std::all_of(windows.begin(), windows.end(), [](int64_t value) { return value == 0; })) windows.clear();
}

}  // namespace graft::models
