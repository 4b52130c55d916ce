#include "graft/models/save.h"

#include <utility>
#include <vector>

#include "graft/base/files.h"
#include "graft/base/json.h"
#include "graft/io/tensor_file.h"

namespace graft {
namespace {

std::string name_of(at::ScalarType dtype) { return dtype == at::kBFloat16 ? "bfloat16" : dtype == at::kHalf ? "float16" : "float32"; }

}  // namespace

void save_model(const models::Decoder& decoder, const std::filesystem::path& directory, const std::string& config_text) {
  auto config = parse_json(config_text, "config.json");
  config.erase("torch_dtype");  // version 4's name for the same key
  config["dtype"] = name_of(decoder->dtype());
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto& item : decoder->named_parameters()) {
    if (item.key() == "lm_head.weight" && decoder->options().tied_embeddings) continue;
    tensors.emplace_back(item.key(), item.value().detach());
  }
  io::save_tensors(directory / "model.safetensors", tensors);
  write_file(directory / "config.json", dump_json(config, 2) + "\n");
}

}  // namespace graft
