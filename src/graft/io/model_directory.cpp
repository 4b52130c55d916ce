#include "graft/io/model_directory.h"

#include <algorithm>
#include <cstring>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"
#include "graft/io/model_index.h"
#include "graft/io/printable.h"

namespace graft::io {
namespace {

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr const char* kExpected =
    "expected config.json and model.safetensors (or model.safetensors.index.json with its shards), as Hugging Face writes them";
constexpr uint64_t kConfigLimit = uint64_t{16} << 20;

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);  // follows symbolic links
}

// A link whose target is gone (a half-fetched cache) deserves another text than "no such file".
bool is_dangling_link(const fs::path& path) {
  std::error_code ignored;
  return fs::is_symlink(path, ignored) && !fs::exists(path, ignored);
}

std::vector<std::string> file_names(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto entry = fs::directory_iterator(directory, error); !error && entry != fs::directory_iterator(); entry.increment(error))
    names.push_back(entry->path().filename().string());
  if (error) throw_io_error("cannot list directory", directory, error.value());
  std::sort(names.begin(), names.end());
  return names;
}

[[noreturn]] void throw_no_weights(const fs::path& directory) {
  std::vector<std::string> pickles, others;
  bool adapter = false;
  for (const auto& name : file_names(directory)) {
    if (name == "adapter_model.safetensors")
      adapter = true;
    else if (ends_with(name, ".bin") || ends_with(name, ".pt") || ends_with(name, ".pth") || ends_with(name, ".pkl"))
      pickles.push_back(name);
    else if (ends_with(name, ".safetensors") || ends_with(name, ".gguf"))
      others.push_back(name);
  }
  DataError error(std::string("no weights: ") + kExpected);
  error.at(directory.string());
  if (is_dangling_link(directory / kSingleFile))
    error.hint("model.safetensors is a link to a file that is not there; fetch the model again");
  else if (adapter)
    error.hint("this is an adapter, not a model: give it as the adapter and its base as the model");
  else if (!pickles.empty())
    error.hint("found " + enumerate(pickles) +
               ": pickle files can run code and are never opened; convert once with transformers: "
               "AutoModelForCausalLM.from_pretrained(directory).save_pretrained(new_directory)");
  else if (!others.empty())
    error.hint("found only " + enumerate(others) + ": fetch the index too, or rename a single file to model.safetensors");
  throw error;
}

// "model-00001-of-00003.safetensors" -> "-of-00003.safetensors": shards of one set end alike.
std::string shard_set(const std::string& name) {
  const auto of = name.rfind("-of-");
  return starts_with(name, "model-") && of != std::string::npos ? name.substr(of) : "";
}

void refuse_unnamed_shards(const fs::path& directory, const ModelIndex& index) {
  for (const auto& name : file_names(directory)) {
    if (!ends_with(name, ".safetensors") || std::binary_search(index.shards.begin(), index.shards.end(), name)) continue;
    if (!shard_set(name).empty() && shard_set(name) == shard_set(index.shards.front()))
      throw DataError("shard " + name + " is there but the index names none of its tensors")
          .at((directory / kIndexFile).string())
          .hint("fetch the index again, or remove the file");
    log::warning((directory / name).string() + " is not named by " + kIndexFile + " and is ignored");
  }
}

}  // namespace

ModelDirectory::ModelDirectory(const fs::path& path, Open open) : path_(path) {
  std::error_code error;
  if (!fs::exists(path, error))
    throw UsageError("model directory does not exist: " + path.string())
        .at(fs::absolute(path).string())
        .hint("give the path of a model directory");
  if (!fs::is_directory(path, error)) throw DataError("not a directory").at(path.string()).hint(kExpected);
  if (!is_file(path / "config.json")) {
    const bool dangling = is_dangling_link(path / "config.json");
    throw DataError(dangling ? "config.json is a link to a file that is not there" : std::string("no config.json: ") + kExpected)
        .at(path.string())
        .hint(dangling                                ? "fetch the model again"
              : is_file(path / "adapter_config.json") ? "this is an adapter, not a model"
                                                      : "is this the right directory?");
  }
  if (open == Open::kConfigOnly) return;
  const bool single = is_file(path / kSingleFile), index = is_file(path / kIndexFile);
  if (single && index)
    log::warning(path.string() + ": both model.safetensors and model.safetensors.index.json are there; the single file is used");
  if (single)
    open_single();
  else if (index)
    open_shards();
  else
    throw_no_weights(path);
  for (const auto& [name, place] : where_) names_.push_back(name);
}

void ModelDirectory::open_single() {
  files_.push_back(SafetensorsFile::open(path_ / kSingleFile));
  const auto& entries = files_[0].entries();
  for (size_t i = 0; i < entries.size(); ++i) where_.emplace(entries[i].name, std::pair(size_t{0}, i));
}

void ModelDirectory::open_shards() {
  const std::string origin = (path_ / kIndexFile).string();
  const ModelIndex index = read_model_index(path_ / kIndexFile);
  refuse_unnamed_shards(path_, index);
  uint64_t bytes = 0;
  for (const auto& shard : index.shards) {
    if (!is_file(path_ / shard)) {
      const char* what = is_dangling_link(path_ / shard) ? " is a link to a file that is not there" : " is missing";
      throw DataError("shard " + shard + what)
          .at(origin)
          .nearest(nearest_name(shard, file_names(path_)))
          .hint("fetch the model's missing files");
    }
    files_.push_back(SafetensorsFile::open(path_ / shard));
  }
  std::vector<std::pair<size_t, size_t>> copies;  // tensors that lie in another shard than the one named
  for (size_t f = 0; f < files_.size(); ++f) {
    const auto& entries = files_[f].entries();
    for (size_t i = 0; i < entries.size(); ++i) {
      const auto named = index.shard_of.find(entries[i].name);
      const std::string place = files_[f].path().string() + ": " + printable(entries[i].name);
      if (named == index.shard_of.end())
        throw DataError("the shard holds a tensor the index does not name").at(place).hint("fetch the index again");
      if (named->second != index.shards[f])
        copies.emplace_back(f, i);
      else
        where_.emplace(entries[i].name, std::pair(f, i)), bytes += entries[i].end - entries[i].begin;
    }
  }
  for (const auto& [tensor, shard] : index.shard_of)
    if (where_.count(tensor) == 0)
      throw DataError("the index names shard " + shard + " for this tensor, but it is not in it")
          .at(origin + ": " + printable(tensor))
          .hint("fetch the index and the shard again");
  for (const auto& [f, i] : copies) {
    const auto& copy = files_[f].entries()[i];
    const Tensor original = at(copy.name);
    if (copy.dtype != original.entry->dtype || copy.shape != original.entry->shape || files_[f].bytes(copy) != original.bytes())
      throw DataError("the tensor is in two shards with different content; the index names " + original.file->path().filename().string())
          .at(files_[f].path().string() + ": " + printable(copy.name))
          .hint("fetch the model again");
  }
  if (index.total_size >= 0 && static_cast<uint64_t>(index.total_size) != bytes)
    log::warning(origin + ": metadata.total_size says " + std::to_string(index.total_size) + " bytes, the tensors have " +
                 std::to_string(bytes));
}

std::string ModelDirectory::config_text() const { return read_file(path_ / "config.json", kConfigLimit); }

bool ModelDirectory::has(std::string_view file_name) const { return is_file(path_ / file_name); }

std::optional<ModelDirectory::Tensor> ModelDirectory::find(std::string_view name) const {
  const auto found = where_.find(name);
  if (found == where_.end()) return std::nullopt;
  const auto& file = files_[found->second.first];
  return Tensor{&file, &file.entries()[found->second.second]};
}

ModelDirectory::Tensor ModelDirectory::at(std::string_view name) const {
  if (const auto tensor = find(name)) return *tensor;
  throw DataError("the model has no tensor \"" + std::string(name) + "\"")
      .at(path_.string())
      .nearest(nearest_name(name, names_))
      .hint("is this model complete, and of the family its config.json names?");
}

uint64_t ModelDirectory::weight_bytes() const {
  uint64_t bytes = 0;
  for (const auto& [name, place] : where_) {
    const auto& entry = files_[place.first].entries()[place.second];
    bytes += entry.end - entry.begin;
  }
  return bytes;
}

}  // namespace graft::io
