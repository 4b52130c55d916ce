#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <string>
#include <utility>
#include <vector>

namespace graft {

/// Several adapters on one base: which of them count in the next forward. Switching touches pointers only (well under a millisecond) and
/// never the base. Not to be called while another thread runs the model. UsageError for an unknown name, or when two of the named adapters
/// replace the same tensor (trained biases, modules_to_save), or such an adapter has a weight other than 1.
void activate(torch::nn::Module& model, const std::string& name);
/// Their sum: W + Σ s·B·A.
void activate(torch::nn::Module& model, const std::vector<std::string>& names);
/// Their weighted sum: W + Σ weight·s·B·A.
void activate(torch::nn::Module& model, const std::vector<std::pair<std::string, double>>& weighted);
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
