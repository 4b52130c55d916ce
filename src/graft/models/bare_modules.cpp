#include "graft/models/bare_modules.h"

#include <ATen/ops/empty.h>

#include <numeric>

namespace graft::models {
namespace {

/// The protected list of a module's parameters, which named_parameters() and optimizers read.
struct ParameterList : torch::nn::Module {
  static torch::OrderedDict<std::string, at::Tensor>& of(torch::nn::Module& module) { return module.*(&ParameterList::parameters_); }
};

thread_local bool weightless_linears = false;

at::Tensor linear_weight(int64_t in, int64_t out, const at::TensorOptions& options) {
  return weightless_linears ? bare_parameter({1}, options).expand({out, in}) : bare_parameter({out, in}, options);
}

torch::nn::Linear linear_of(const at::Tensor& weight, bool bias, const at::TensorOptions& options) {
  torch::nn::Linear linear(torch::nn::LinearOptions(1, 1).bias(bias));
  linear->options.in_features(weight.size(1)).out_features(weight.size(0));
  auto& parameters = ParameterList::of(*linear);
  parameters["weight"] = linear->weight = weight;
  if (bias) parameters["bias"] = linear->bias = bare_parameter({weight.size(0)}, options);
  return linear;
}

}  // namespace

WeightlessLinears::WeightlessLinears(bool on) : before_(weightless_linears) { weightless_linears = on; }
WeightlessLinears::~WeightlessLinears() { weightless_linears = before_; }

bool is_weightless(const at::Tensor& weight) { return weight.dim() == 2 && weight.stride(0) == 0 && weight.stride(1) == 0; }

at::Tensor bare_parameter(at::IntArrayRef shape, const at::TensorOptions& options) {
  return at::empty(shape, options).requires_grad_(false);
}

torch::nn::Linear bare_linear(int64_t in, int64_t out, bool bias, const at::TensorOptions& options) {
  return linear_of(linear_weight(in, out, options), bias, options);
}

std::vector<torch::nn::Linear> bare_linears(int64_t in, const std::vector<int64_t>& outs, bool bias, const at::TensorOptions& options) {
  const int64_t all = std::accumulate(outs.begin(), outs.end(), int64_t{0});
  const at::Tensor memory = weightless_linears ? at::Tensor() : at::empty({all, in}, options);
  std::vector<torch::nn::Linear> linears;
  int64_t begin = 0;
  for (const int64_t out : outs) {
    // Detached: a parameter, not a view that autograd ties to its neighbours.
    const at::Tensor weight = memory.defined() ? memory.narrow(0, begin, out).detach() : linear_weight(in, out, options);
    linears.push_back(linear_of(weight, bias, options));
    begin += out;
  }
  return linears;
}

torch::nn::Embedding bare_embedding(int64_t count, int64_t width, const at::TensorOptions& options) {
  torch::nn::Embedding embedding(torch::nn::EmbeddingOptions(1, 1));
  embedding->options.num_embeddings(count).embedding_dim(width);
  ParameterList::of(*embedding)["weight"] = embedding->weight = bare_parameter({count, width}, options);
  return embedding;
}

void share_weight(torch::nn::LinearImpl& linear, const at::Tensor& weight) {
  linear.options.in_features(weight.size(1)).out_features(weight.size(0));
  ParameterList::of(linear)["weight"] = linear.weight = weight;
}

}  // namespace graft::models
