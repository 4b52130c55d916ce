#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace graft::io {

/// model.safetensors.index.json: which shard holds which tensor.
struct ModelIndex {
  std::map<std::string, std::string> shard_of;  ///< tensor -> file name
  std::vector<std::string> shards;              ///< file names, sorted, each once
  std::int64_t total_size = -1;                 ///< -1: not given
};

/// DataError when it is not the expected object, or a shard name is not a plain file name ending in .safetensors: with a slash,
/// backslash, colon, "..", NUL or absolute it could lead out of the model directory.
ModelIndex read_model_index(const std::filesystem::path& path);

/// DataError unless `name` is a plain file name inside its directory. `place` is named in the error.
void require_plain_file_name(const std::string& name, const std::string& place);

}  // namespace graft::io
