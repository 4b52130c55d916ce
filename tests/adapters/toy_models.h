#pragma once

#include <torch/nn.h>

#include <map>
#include <string>

#include "graft/graft.h"

namespace graft::test {

/// A block as people write it: plain torch::nn, a nested class, Linear with and without a bias.
struct BlockImpl : torch::nn::Module {
  explicit BlockImpl(int64_t width)
      : norm(register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({width})))),
        up_proj(register_module("up_proj", torch::nn::Linear(torch::nn::LinearOptions(width, 2 * width).bias(false)))),
        down_proj(register_module("down_proj", torch::nn::Linear(2 * width, width))) {}
  at::Tensor forward(const at::Tensor& x) { return x + down_proj(torch::silu(up_proj(norm(x)))); }
  torch::nn::LayerNorm norm;
  torch::nn::Linear up_proj, down_proj;
};
TORCH_MODULE(Block);

/// ids [rows, length] → logits [rows, length, vocabulary]: Embedding, ModuleList of nested modules, Sequential, head.
struct NetImpl : torch::nn::Module {
  explicit NetImpl(int64_t vocabulary = 11, int64_t width = 8, int64_t layers = 2)
      : embed(register_module("embed", torch::nn::Embedding(vocabulary, width))),
        blocks(register_module("layers", torch::nn::ModuleList())),
        tail(register_module("tail", torch::nn::Sequential(torch::nn::Linear(width, width), torch::nn::Tanh()))),
        head(register_module("head", torch::nn::Linear(width, vocabulary))) {
    for (int64_t i = 0; i < layers; ++i) blocks->push_back(Block(width));
  }
  at::Tensor forward(const at::Tensor& ids) {
    at::Tensor hidden = embed(ids);
    for (const auto& block : *blocks) hidden = block->as<BlockImpl>()->forward(hidden);
    return head(tail->forward(hidden));
  }
  torch::nn::Embedding embed;
  torch::nn::ModuleList blocks;
  torch::nn::Sequential tail;
  torch::nn::Linear head;
};
TORCH_MODULE(Net);

/// A head tied to its embedding.
struct TiedImpl : torch::nn::Module {
  TiedImpl()
      : embed(register_module("embed", torch::nn::Embedding(9, 4))),
        head(register_module("head", torch::nn::Linear(torch::nn::LinearOptions(4, 9).bias(false)))) {
    head->weight = embed->weight;  // as it is done in C++: the member only
  }
  at::Tensor forward(const at::Tensor& ids) { return head(embed(ids)); }
  torch::nn::Embedding embed;
  torch::nn::Linear head;
};
TORCH_MODULE(Tied);

inline Net make_net(int64_t seed = 1) {
  torch::manual_seed(seed);
  Net net;
  return net;
}

inline at::Tensor some_ids() { return torch::arange(0, 12).remainder(11).view({2, 6}); }

/// Every parameter's values, to compare bits before and after.
inline std::map<std::string, at::Tensor> snapshot(torch::nn::Module& module) {
  std::map<std::string, at::Tensor> out;
  for (const auto& parameter : module.named_parameters()) out[parameter.key()] = parameter.value().detach().clone();
  return out;
}

inline bool same_bits(torch::nn::Module& module, const std::map<std::string, at::Tensor>& before) {
  const auto now = module.named_parameters();
  if (now.size() != before.size()) return false;
  for (const auto& parameter : now)
    if (!at::equal(parameter.value().detach(), before.at(parameter.key()))) return false;
  return true;
}

/// Fills every tensor of the adapter (B too) with numbers, so that it changes the outputs: a test of a zero adapter shows nothing.
inline void randomize(AdapterSet& adapters, int64_t seed = 5) {
  torch::NoGradGuard no_graph;
  torch::manual_seed(seed);
  for (auto& [name, tensor] : adapters.named_parameters())
    if (tensor.is_floating_point()) at::Tensor(tensor.detach()).normal_(0, 0.3);
}

/// The adapter's values by their names in PEFT's file, without "base_model.model.".
inline std::map<std::string, at::Tensor> values(const AdapterSet& adapters) {
  std::map<std::string, at::Tensor> out;
  for (const auto& [name, tensor] : adapters.named_parameters()) out[name.substr(std::string("base_model.model.").size())] = tensor;
  return out;
}

/// The oracle: a plain model of the same class whose weights are the explicit W + scale·B·A (Embedding: W + scale·(B·A)ᵀ). Shares no code
/// with the library. Gradients flow to the adapter's own A and B.
inline Net oracle(const std::map<std::string, at::Tensor>& base, const AdapterSet& adapters, double scale) {
  Net net;
  const auto factors = values(adapters);
  const auto dense = [&](const std::string& path) {
    at::Tensor weight = base.at(path + ".weight");
    if (factors.count(path + ".lora_A.weight") > 0)
      weight = weight + scale * factors.at(path + ".lora_B.weight").matmul(factors.at(path + ".lora_A.weight"));
    if (factors.count(path + ".lora_embedding_A") > 0)
      weight = weight + scale * factors.at(path + ".lora_embedding_B").matmul(factors.at(path + ".lora_embedding_A")).t();
    return weight;
  };
  torch::NoGradGuard no_graph;
  for (auto& parameter : net->named_parameters()) parameter.value().copy_(base.at(parameter.key()));
  at::AutoGradMode graph(true);
  net->embed->weight = dense("embed");
  net->head->weight = dense("head");
  net->tail->ptr<torch::nn::LinearImpl>(0)->weight = dense("tail.0");
  for (size_t i = 0; i < net->blocks->size(); ++i) {
    const std::string path = "layers." + std::to_string(i) + ".";
    auto* block = net->blocks->ptr<BlockImpl>(i).get();
    block->up_proj->weight = dense(path + "up_proj");
    block->down_proj->weight = dense(path + "down_proj");
  }
  return net;
}

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

// float32 sums of a few dozen terms of size one, in another order: a few units in the last place.
constexpr double kFloatTolerance = 2e-6;

}  // namespace graft::test
