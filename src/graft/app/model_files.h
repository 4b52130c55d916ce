#pragma once

#include <filesystem>
#include <string>

#include "graft/base/json.h"

namespace graft::app {

/// Copies what belongs to a model directory besides its weights and config.json: tokenizer, templates, generation config.
void copy_model_files(const std::filesystem::path& from, const std::filesystem::path& to);

/// config.json as it should stand beside weights of this dtype ("fp32" | "bf16" | "fp16"; "" leaves it).
void set_config_dtype(Json* config, const std::string& dtype);

/// Hash of a model directory's config and of its weight files' headers, sizes and ends: enough to notice another base without
/// reading all of it.
std::string model_fingerprint(const std::filesystem::path& directory, bool with_weights);

}  // namespace graft::app
