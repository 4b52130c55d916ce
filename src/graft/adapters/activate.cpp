#include "graft/adapters/activate.h"

#include <algorithm>
#include <set>
#include <unordered_set>

#include "graft/adapters/adapted_model.h"
#include "graft/adapters/adapted_weight.h"
#include "graft/base/error.h"
#include "graft/base/strings.h"

namespace graft {
namespace {

std::string describe_adapter(const detail::AdaptedModel& model, const detail::Adapter& adapter) {
  int64_t count = 0;
  for (const auto& tensor : adapter.tensors)
    if (tensor.is_trained()) count += tensor.value().numel();
  std::string state = "inactive";
  for (const auto& [name, weight] : model.active())
    if (name == adapter.name) state = weight == 1 ? "active" : "active with weight " + std::to_string(weight);
  const size_t copies = adapter.tensors.size() - adapter.factor_count;
  return "adapter \"" + adapter.name + "\" (" + state + (adapter.trainable ? "" : ", frozen") + "): rank " +
         std::to_string(adapter.config.r) + " on " + format_count(static_cast<long long>(adapter.module_count)) + " modules" +
         (copies > 0 ? ", " + std::to_string(copies) + " tensors copied whole" : "") + ", " + format_count(count) + " parameters\n";
}

}  // namespace

void activate(torch::nn::Module& model, const std::vector<std::pair<std::string, double>>& weighted) {
  const auto adapted = detail::AdaptedModel::find(model);
  if (adapted == nullptr) throw UsageError("the model has no adapters").hint("attach() or load_adapter() first");
  adapted->activate(weighted);
}

void activate(torch::nn::Module& model, const std::vector<std::string>& names) {
  std::vector<std::pair<std::string, double>> weighted;
  for (const std::string& name : names) weighted.emplace_back(name, 1.0);
  activate(model, weighted);
}

void deactivate(torch::nn::Module& model) {
  if (const auto adapted = detail::AdaptedModel::find(model)) adapted->activate({});
}

std::vector<std::string> active(torch::nn::Module& model) {
  std::vector<std::string> out;
  if (const auto adapted = detail::AdaptedModel::find(model))
    for (const auto& [name, weight] : adapted->active()) out.push_back(name);
  return out;
}

std::vector<std::string> adapter_names(torch::nn::Module& model) {
  const auto adapted = detail::AdaptedModel::find(model);
  return adapted == nullptr ? std::vector<std::string>{} : adapted->names();
}

std::vector<at::Tensor> trainable_parameters(torch::nn::Module& model) {
  std::vector<at::Tensor> out;
  std::unordered_set<const c10::TensorImpl*> seen;
  for (const auto& adapted : detail::AdaptedModel::find_all(model))
    for (const auto& [name, weight] : adapted->active())
      for (const auto& tensor : adapted->adapter(name)->tensors)
        if (tensor.is_trained() && tensor.leaf().requires_grad() && seen.insert(tensor.leaf().unsafeGetTensorImpl()).second)
          out.push_back(tensor.leaf());
  return out;
}

std::string describe(torch::nn::Module& model) {
  int64_t total = 0;
  for (const auto& parameter : model.parameters()) total += parameter.numel();
  std::string text = "base: " + format_count(total) + " parameters\n";
  for (const auto& adapted : detail::AdaptedModel::find_all(model))
    for (const auto& adapter : adapted->adapters()) text += describe_adapter(*adapted, *adapter);
  return text;
}

at::Tensor dense_weight(const at::Tensor& weight) {
  const auto site = detail::site_of(weight);
  at::NoGradGuard no_graph;
  return site == nullptr ? weight : site->matrix().to(site->base->dtype());
}

}  // namespace graft
