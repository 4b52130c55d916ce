#include "graft/app/adapter_delta.h"

#include <ATen/Functions.h>

#include <cmath>

#include "graft/base/error.h"
#include "graft/base/strings.h"
#include "graft/io/safetensors.h"
#include "graft/io/tensor_file.h"

namespace graft::app {
namespace {

constexpr const char* kPrefix = "base_model.model.";

bool strip(std::string* name, std::string_view suffix) {
  if (!ends_with(*name, suffix)) return false;
  name->resize(name->size() - suffix.size());
  return true;
}

}  // namespace

AdapterDelta::AdapterDelta(const std::filesystem::path& directory) : config_(io::read_adapter_config(directory, &warnings_)) {
  const auto file = directory / "adapter_model.safetensors";
  for (const auto& [key, tensor] : io::load_tensors(file, io::Strictness::kForeign)) {
    if (!starts_with(key, kPrefix))
      throw DataError("tensor name does not begin with " + std::string(kPrefix)).at(file.string() + ": " + key);
    std::string name = key.substr(std::string_view(kPrefix).size());
    if (strip(&name, ".lora_A.weight"))
      pairs_[name].a = tensor;
    else if (strip(&name, ".lora_B.weight"))
      pairs_[name].b = tensor;
    else if (strip(&name, ".lora_embedding_A"))
      pairs_[name].a = tensor, pairs_[name].embedding = true;
    else if (strip(&name, ".lora_embedding_B"))
      pairs_[name].b = tensor, pairs_[name].embedding = true;
    else if (name.find(".lora_") != std::string::npos)
      throw DataError("this kind of adapter tensor cannot be merged").at(file.string() + ": " + key);
    else if (const size_t base = name.find(".base_layer."); base != std::string::npos)
      replaced_[name.erase(base, std::string_view(".base_layer").size())] = tensor;
    else
      replaced_[name] = tensor;
  }
  for (const auto& [module, pair] : pairs_) {
    if (!pair.a.defined() || !pair.b.defined())
      throw DataError(std::string(pair.a.defined() ? "B" : "A") + " of a pair is missing").at(file.string() + ": " + module);
    if (pair.a.dim() != 2 || pair.b.dim() != 2 || pair.a.size(0) != pair.b.size(1))
      throw DataError("A and B do not fit each other").at(file.string() + ": " + module);
    updated_.insert(module + ".weight");
  }
}

at::Tensor AdapterDelta::update(const std::string& name) const {
  const std::string module = name.substr(0, name.size() - std::string_view(".weight").size());
  const Pair& pair = pairs_.at(module);
  const double rank = static_cast<double>(pair.a.size(0));
  const double scale = io::alpha_of(config_, module) / (config_.use_rslora ? std::sqrt(rank) : rank);
  at::Tensor product = at::mm(pair.b.to(at::kFloat), pair.a.to(at::kFloat)).mul_(scale);
  return pair.embedding != config_.fan_in_fan_out ? product.t().contiguous() : product;
}

}  // namespace graft::app
