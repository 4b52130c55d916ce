#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graft/io/safetensors.h"

namespace graft::io {

/// A Hugging Face model directory, opened and checked: config.json, model.safetensors or the index with its shards.
/// Pickle files (*.bin, *.pt) are never opened. Names inside an index may not leave the directory; files may be symbolic links
/// (the Hugging Face cache is made of them). With both a single file and an index the single file wins, with a warning.
/// Sharded: every shard is there, every tensor lies in the shard the index names and in no other, and no shard holds a tensor the
/// index does not name. The index's total_size is only warned about.
class ModelDirectory {
 public:
  /// UsageError when the path does not exist; DataError when something in it is malformed.
  /// kConfigOnly opens no weights (plan, recipes' CI, tokenizing).
  enum class Open { kConfigOnly, kWeights };
  explicit ModelDirectory(const std::filesystem::path& path, Open open = Open::kWeights);

  const std::filesystem::path& path() const { return path_; }
  std::string config_text() const;  ///< config.json, raw
  bool has(std::string_view file_name) const;

  struct Tensor {
    const SafetensorsFile* file;
    const TensorEntry* entry;
    std::string_view bytes() const { return file->bytes(*entry); }
  };
  /// All tensor names, sorted.
  const std::vector<std::string>& tensor_names() const { return names_; }
  std::optional<Tensor> find(std::string_view name) const;
  /// Like find; a missing tensor is a DataError with the nearest name.
  Tensor at(std::string_view name) const;
  const std::vector<SafetensorsFile>& files() const { return files_; }
  uint64_t weight_bytes() const;

 private:
  void open_single();
  void open_shards();

  std::filesystem::path path_;
  std::vector<SafetensorsFile> files_;
  std::vector<std::string> names_;
  std::map<std::string, std::pair<size_t, size_t>, std::less<>> where_;  // name -> (file, entry)
};

}  // namespace graft::io
