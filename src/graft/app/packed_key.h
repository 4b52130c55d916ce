#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "graft/base/json.h"
#include "graft/io/model_directory.h"
#include "graft/recipe/recipe.h"

namespace graft::app {

/// Raise when the same model and recipe give other packed bytes, or another layout, than before.
inline constexpr int64_t kPackedFormat = 1;

/// Names the packed copy of a base in 4 bits, without reading the weights: a hash of `base_fingerprint` (model_fingerprint: config.json,
/// sizes, and both ends of every tensor), each weight file's name, size, time of change and header, quant.type, double, block and skip,
/// model.dtype (what weights are rounded to first) and kPackedFormat.
std::string packed_key(const recipe::Recipe& recipe, const io::ModelDirectory& model, const std::string& base_fingerprint);

/// What stands in the copy's config.json: enough to tell whether it is whole.
struct PackedManifest {
  std::string key, model;          ///< `model`: where the base lay, for people
  int64_t bytes = 0, tensors = 0;  ///< of model.safetensors: its length, and its entries
};
Json packed_manifest_json(const PackedManifest& manifest);

/// The copy's directory, opened and compared with its manifest. DataError when it is damaged, short, of another format or another key.
io::ModelDirectory open_packed(const std::filesystem::path& directory, const std::string& key);

}  // namespace graft::app
