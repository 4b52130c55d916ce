#include "graft/adapters/module_tree.h"

#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>

#include <unordered_set>

#include "graft/base/strings.h"

namespace graft::detail {
namespace {

void collect(const torch::nn::Module& parent, const std::string& prefix, std::unordered_set<const torch::nn::Module*>* seen,
             std::vector<NamedModule>* out) {
  for (const auto& child : parent.named_children()) {
    if (!seen->insert(child.value().get()).second) continue;
    const std::string path = prefix.empty() ? child.key() : prefix + "." + child.key();
    out->push_back({path, child.value()});
    collect(*child.value(), path, seen, out);
  }
}

void add_matrices(const torch::nn::Module& module, const std::string& path, std::vector<std::string>* out) {
  if (site_kind(module)) return;
  for (const auto& parameter : module.named_parameters(/*recurse=*/false)) {
    if (parameter.value().dim() < 2 || !parameter.value().is_floating_point()) continue;
    out->push_back((path.empty() ? "" : path + ".") + parameter.key() + " (" + type_name(module) + ")");
  }
}

}  // namespace

std::vector<NamedModule> modules_below(torch::nn::Module& root) {
  std::vector<NamedModule> out;
  std::unordered_set<const torch::nn::Module*> seen{&root};
  collect(root, "", &seen, &out);
  return out;
}

std::optional<SiteKind> site_kind(const torch::nn::Module& module) {
  if (module.as<torch::nn::LinearImpl>() != nullptr) return SiteKind::kLinear;
  if (module.as<torch::nn::EmbeddingImpl>() != nullptr) return SiteKind::kEmbedding;
  return std::nullopt;
}

std::string type_name(const torch::nn::Module& module) {
  std::string name = module.name();
  if (starts_with(name, "torch::nn::")) name.erase(0, std::string("torch::nn::").size());
  if (ends_with(name, "Impl")) name.resize(name.size() - 4);
  return name;
}

std::vector<std::string> unreachable_matrices(torch::nn::Module& root) {
  std::vector<std::string> out;
  add_matrices(root, "", &out);
  for (const NamedModule& entry : modules_below(root)) add_matrices(*entry.module, entry.path, &out);
  return out;
}

bool is_graft_decoder(const torch::nn::Module& root) { return starts_with(root.name(), "graft::models::"); }

}  // namespace graft::detail
