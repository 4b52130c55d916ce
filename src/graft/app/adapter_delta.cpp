#include "graft/app/adapter_delta.h"

#include <ATen/Functions.h>

#include <cmath>

#include "graft/adapters/adapter_files.h"
#include "graft/app/adapter_shapes.h"
#include "graft/io/adapter_key.h"

namespace graft::app {

AdapterDelta::AdapterDelta(const std::filesystem::path& directory, const BaseTensors& base) {
  using Part = io::AdapterKey::Part;
  auto files = detail::read_adapter_files(directory, "default");
  config_ = files.config;
  detail::match_tensors(expected_tensors(files, base), &files);
  for (const auto& [key, tensor] : files.tensors) {
    const auto parsed = io::parse_adapter_key(key);
    const std::string& module = parsed.module;
    if (parsed.part > Part::kEmbeddingB) {
      replaced_[module.empty() ? parsed.parameter : module + "." + parsed.parameter] = tensor;
      continue;
    }
    Pair& pair = pairs_[module];
    (parsed.part == Part::kA || parsed.part == Part::kEmbeddingA ? pair.a : pair.b) = tensor;
    pair.transposed = parsed.part == Part::kEmbeddingA || parsed.part == Part::kEmbeddingB || stores_transposed(base, module);
    updated_.insert(module + ".weight");
  }
}

at::Tensor AdapterDelta::update(const std::string& name) const {
  const std::string module = name.substr(0, name.size() - std::string_view(".weight").size());
  const Pair& pair = pairs_.at(module);
  const auto rank = static_cast<double>(io::rank_of(config_, module));
  const double scale = io::alpha_of(config_, module) / (config_.use_rslora ? std::sqrt(rank) : rank);
  at::Tensor product = at::mm(pair.b.to(at::kFloat), pair.a.to(at::kFloat)).mul_(scale);
  return pair.transposed ? product.t().contiguous() : product;
}

}  // namespace graft::app
