#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>

#include "support/catch.h"

/// Helpers of the op tests. Everything runs on the CPU; oracles are computed in float64.
namespace graft::testing {

inline at::Tensor seeded_normal(at::IntArrayRef shape, at::ScalarType dtype = at::kFloat, uint64_t seed = 1) {
  return at::empty(shape, at::kDouble).normal_(0, 1, at::detail::createCPUGenerator(seed)).to(dtype);
}

inline double worst_difference(const at::Tensor& a, const at::Tensor& b) {
  REQUIRE(a.sizes() == b.sizes());
  return a.numel() == 0 ? 0.0 : (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

inline void require_close(const at::Tensor& ours, const at::Tensor& expected, double tolerance) {
  const double difference = worst_difference(ours, expected);
  INFO("worst difference " << difference << ", allowed " << tolerance);
  REQUIRE(difference <= tolerance);
}

/// Gradients of sum(f(inputs) * direction) with respect to the inputs.
inline std::vector<at::Tensor> gradients(const std::function<at::Tensor(const std::vector<at::Tensor>&)>& f, std::vector<at::Tensor> inputs,
                                         const at::Tensor& direction) {
  for (auto& input : inputs) input = input.detach().requires_grad_(true);
  torch::autograd::backward({(f(inputs) * direction.to(inputs[0].scalar_type())).sum()}, {});
  std::vector<at::Tensor> result;
  for (const auto& input : inputs) result.push_back(input.grad());
  return result;
}

/// Half a unit in the last place of `dtype` at 1, times `size`: what one rounding may cost.
inline double rounding(at::ScalarType dtype, double size) {
  return size * (dtype == at::kBFloat16 ? 1.0 / 256 : dtype == at::kHalf ? 1.0 / 2048 : 1.0 / 16777216);
}

}  // namespace graft::testing
