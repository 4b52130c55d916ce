#pragma once

#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>

#include <vector>

namespace graft::models {

/// torch::nn::Linear and Embedding with frozen, uninitialised parameters of the given dtype and device. LibTorch's constructors
/// draw random weights, which takes minutes for a large model, always in float32 on the CPU; here weights come from a file.
torch::nn::Linear bare_linear(int64_t in, int64_t out, bool bias, const at::TensorOptions& options);
/// Linears that share an input, one per width of `outs`. Their weights lie one after the other in memory, in parameters of their own: fused
/// operators can read them as one matrix (ops/side_by_side.h).
std::vector<torch::nn::Linear> bare_linears(int64_t in, const std::vector<int64_t>& outs, bool bias, const at::TensorOptions& options);
torch::nn::Embedding bare_embedding(int64_t count, int64_t width, const at::TensorOptions& options);

/// Makes `weight` itself (the same tensor, not a copy) the module's parameter "weight": how a head is tied to its embedding.
void share_weight(torch::nn::LinearImpl& linear, const at::Tensor& weight);

/// While one lives on this thread, bare_linear gives weights that have a shape, dtype and device but no memory: every entry is the same
/// element. For weights that a loader replaces.
class WeightlessLinears {
 public:
  explicit WeightlessLinears(bool on);
  ~WeightlessLinears();
  WeightlessLinears(const WeightlessLinears&) = delete;
  WeightlessLinears& operator=(const WeightlessLinears&) = delete;

 private:
  bool before_;
};
/// Whether this weight was made so.
bool is_weightless(const at::Tensor& weight);

/// A frozen, uninitialised parameter.
at::Tensor bare_parameter(at::IntArrayRef shape, const at::TensorOptions& options);

}  // namespace graft::models
