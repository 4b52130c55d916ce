#include "graft/app/model_files.h"

#include <algorithm>

#include "graft/base/files.h"
#include "graft/base/sha256.h"
#include "graft/base/strings.h"
#include "graft/io/model_directory.h"

namespace graft::app {

void copy_model_files(const fs::path& from, const fs::path& to) {
  for (const auto& entry : fs::directory_iterator(from)) {
    const std::string name = entry.path().filename().string(), extension = entry.path().extension().string();
    const bool wanted = extension == ".json" || extension == ".jinja" || extension == ".txt" || extension == ".model";
    if (!wanted || !entry.is_regular_file() || name == "config.json" || ends_with(name, ".index.json")) continue;
    write_file(to / name, read_file(entry.path()));
  }
}

void set_config_dtype(Json* config, const std::string& dtype) {
  if (dtype.empty()) return;
  const std::string name = dtype == "fp32" ? "float32" : dtype == "bf16" ? "bfloat16" : "float16";
  (*config)[config->contains("torch_dtype") && !config->contains("dtype") ? "torch_dtype" : "dtype"] = name;
}

std::string model_fingerprint(const fs::path& path, bool with_weights) {
  constexpr size_t kEnds = 1 << 16;
  const io::ModelDirectory directory(path, with_weights ? io::ModelDirectory::Open::kWeights : io::ModelDirectory::Open::kConfigOnly);
  std::string text = directory.config_text();
  for (const auto& file : directory.files()) {
    text += "\n" + std::to_string(file.file_size());
    for (const auto& entry : file.entries()) {
      const auto bytes = file.bytes(entry);
      text += "\n" + entry.name + io::to_string(entry.dtype);
      // The first and last bytes of every tensor: a fine-tuned copy differs in all of them.
      text += sha256(bytes.substr(0, std::min(bytes.size(), kEnds))) + sha256(bytes.substr(bytes.size() - std::min(bytes.size(), kEnds)));
    }
  }
  return sha256(text);
}

}  // namespace graft::app
