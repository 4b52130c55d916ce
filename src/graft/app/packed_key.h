#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "graft/base/json.h"
#include "graft/io/model_directory.h"
#include "graft/recipe/recipe.h"

namespace graft::app {

/// Raise when the same model and recipe give other packed bytes, or another layout, than before.
inline constexpr int64_t kPackedFormat = 2;

/// Names the packed copy of a base in 4 bits, without reading the weights: a hash of `base_fingerprint` (model_fingerprint: config.json,
/// sizes, and both ends of every tensor), each weight file's name, size, time of change and header, quant.type, double, block and skip,
/// model.dtype (what weights are rounded to first) and kPackedFormat.
std::string packed_key(const recipe::Recipe& recipe, const io::ModelDirectory& model, const std::string& base_fingerprint);

/// Names of a packed copy's tensors with the checksums of their bytes (packed_checksum).
using PackedChecksums = std::map<std::string, std::string, std::less<>>;

/// What stands in the copy's config.json: enough to tell whether it is whole.
struct PackedManifest {
  std::string key, model;  ///< `model`: where the base lay, for people
  int64_t bytes = 0;       ///< of model.safetensors
  PackedChecksums checksums;
};
Json packed_manifest_json(const PackedManifest& manifest);

/// A packed copy that was opened. Its tensors have still to be compared with their checksums, each when it is read.
struct PackedCopy {
  io::ModelDirectory directory;
  PackedChecksums checksums;
};

/// The copy's directory, opened and compared with its manifest, but for what the tensors hold. DataError when it is damaged, short, of
/// another format or another key.
PackedCopy open_packed(const std::filesystem::path& directory, const std::string& key);

}  // namespace graft::app
