#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace graft {

/// Several adapters on one base: which of them count in the next forward. Switching touches pointers only (well under a millisecond) and
/// never the base. Not to be called while another thread runs the model. UsageError for an unknown name, or when two of the named adapters
/// replace the same tensor (trained biases, modules_to_save), or such an adapter has a weight other than 1.
/// Between a forward and its backward: A and B of the forward's adapters get their gradients all the same, but those of trained biases and
/// norms go to the adapter whose copies are shown when backward runs. Activate the first again before backward. (A block of ops::recompute
/// sees to that itself.)
/// Their sum: W + Σ s·B·A.
void activate(torch::nn::Module& model, const std::vector<std::string>& names);
/// Their weighted sum: W + Σ weight·s·B·A.
void activate(torch::nn::Module& model, const std::vector<std::pair<std::string, double>>& weighted);
/// activate(model, "a"), activate(model, {"a", "b"}) and activate(model, {{"a", 0.5}, {"b", 0.5}}).
template <class Text, class = std::enable_if_t<std::is_convertible_v<const Text&, std::string_view>>>
void activate(torch::nn::Module& model, const Text& name) {
  activate(model, std::vector<std::string>{std::string(std::string_view(name))});
}
inline void activate(torch::nn::Module& model, std::initializer_list<const char*> names) {
  activate(model, std::vector<std::string>(names.begin(), names.end()));
}
inline void activate(torch::nn::Module& model, std::initializer_list<std::pair<std::string, double>> weighted) {
  activate(model, std::vector<std::pair<std::string, double>>(weighted));
}
/// The bare base.
void deactivate(torch::nn::Module& model);

std::vector<std::string> active(torch::nn::Module& model);
std::vector<std::string> adapter_names(torch::nn::Module& model);

/// The trained tensors of the active adapters, each once.
std::vector<at::Tensor> trainable_parameters(torch::nn::Module& model);
/// A few lines for people: the adapters, what they adapt, how much is trained.
std::string describe(torch::nn::Module& model);

/// The matrix a weight stands for now, W + Σ s·B·A of the active adapters, as a plain tensor of the weight's dtype (no gradient).
/// A plain weight is returned as it is.
at::Tensor dense_weight(const at::Tensor& weight);

}  // namespace graft
