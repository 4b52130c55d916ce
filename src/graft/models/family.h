#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "graft/models/decoder_options.h"

namespace graft::io {
class ConfigReader;
class ModelDirectory;
}  // namespace graft::io

namespace graft::models {

/// A model family as data: which model_type strings it answers to, how its config.json fills the decoder's options, and how the
/// decoder's parameter names map to the names on disk. One file per family in families/, one line in registry.cpp.
struct Family {
  std::string name;
  std::vector<std::string> model_types;
  std::function<void(io::ConfigReader& config, DecoderOptions& decoder)> configure;
};

const std::vector<Family>& families();

/// config.json (and generation_config.json when present) → options. An unknown model_type is a DataError that names the nearest
/// family; a key that would change the maths and is not read is a DataError that names the key. Absurd sizes (negative, zero,
/// beyond 2^31, hidden not divisible by heads, …) are DataErrors before anything is allocated.
DecoderOptions read_decoder_options(const io::ModelDirectory& directory);

/// Whether the files hold an output head that is not the embedding, whatever config.json says of tying: bad merges leave such models.
/// transformers 5 then uses the head of the files, and so does read_decoder_options (tied_embeddings is false).
bool has_head_of_its_own(const io::ModelDirectory& directory);

/// The same from the text of one config.json alone; `origin` names it in errors.
DecoderOptions parse_decoder_options(const std::string& config_text, const std::string& origin);

/// Every parameter of the decoder: (Hugging Face name on disk, shape). The decoder's own parameter names are these names
/// to the letter, so that names in the module tree, on disk and in adapter files agree.
std::vector<std::pair<std::string, std::vector<int64_t>>> parameter_shapes(const DecoderOptions& options);

/// Parameters in all, tied head counted once.
int64_t parameter_count(const DecoderOptions& options);

/// Full names (Hugging Face module paths, e.g. "model.layers.0.self_attn.q_proj") and shapes [out, in] of the decoder's Linear
/// modules, output head ("lm_head") last.
std::vector<std::pair<std::string, std::vector<int64_t>>> linear_shapes(const DecoderOptions& options);

}  // namespace graft::models
