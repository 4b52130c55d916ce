#include "graft/quant/eight_bit_adam.h"

#include <ATen/Functions.h>

#include <cmath>

#include "graft/base/error.h"
#include "graft/ops/cuda_kernels.h"
#include "graft/quant/codebook.h"
#include "graft/quant/cuda_kernels.h"
#include "graft/quant/eight_bit_adam_cpu.h"

namespace graft::quant {
namespace {

at::Tensor map_tensor(const std::array<float, 256>& map, at::Device device) {
  return at::from_blob(const_cast<float*>(map.data()), {256}, at::kFloat).clone().to(device);
}

at::Tensor decoded(const at::Tensor& codes, const at::Tensor& absmax, const std::array<float, 256>& map) {
  const at::Tensor entries = map_tensor(map, codes.device()).index_select(0, codes.reshape({-1}).to(at::kInt));
  return (entries * absmax.repeat_interleave(kMomentBlock).narrow(0, 0, codes.numel())).view(codes.sizes());
}

MomentPointers pointers(const EightBitMoments& moments) {
  return {moments.mean.mutable_data_ptr<uint8_t>(), moments.square.mutable_data_ptr<uint8_t>(),
          moments.mean_absmax.mutable_data_ptr<float>(), moments.square_absmax.mutable_data_ptr<float>()};
}

/// On a device without a kernel in this build: there and back. Slow, and the same bits.
void through_the_host(const at::Tensor& parameter, const at::Tensor& gradient, const EightBitMoments& moments, const AdamRule& rule) {
  const at::Tensor p = parameter.cpu(), g = gradient.cpu();
  const EightBitMoments copy{moments.mean.cpu(), moments.square.cpu(), moments.mean_absmax.cpu(), moments.square_absmax.cpu()};
  cpu::eight_bit_adamw(p.mutable_data_ptr<float>(), g.const_data_ptr<float>(), p.numel(), pointers(copy), rule);
  parameter.copy_(p);
  moments.mean.copy_(copy.mean), moments.square.copy_(copy.square);
  moments.mean_absmax.copy_(copy.mean_absmax), moments.square_absmax.copy_(copy.square_absmax);
}

}  // namespace

EightBitMoments zero_moments(const at::Tensor& like) {
  const auto bytes = at::TensorOptions(at::kByte).device(like.device());
  const int64_t blocks = (like.numel() + kMomentBlock - 1) / kMomentBlock;
  return {at::zeros(like.sizes(), bytes), at::zeros(like.sizes(), bytes), at::zeros({blocks}, bytes.dtype(at::kFloat)),
          at::zeros({blocks}, bytes.dtype(at::kFloat))};
}

at::Tensor decoded_mean(const EightBitMoments& moments) { return decoded(moments.mean, moments.mean_absmax, dynamic_map()); }
at::Tensor decoded_square(const EightBitMoments& moments) { return decoded(moments.square, moments.square_absmax, unsigned_dynamic_map()); }

AdamRule adam_rule(double learning_rate, double beta1, double beta2, double epsilon, double weight_decay, int64_t step) {
  const auto k = static_cast<double>(step);
  const double correction1 = 1 - std::pow(beta1, k), correction2 = std::sqrt(1 - std::pow(beta2, k));
  AdamRule rule;
  rule.beta1 = static_cast<float>(beta1), rule.beta2 = static_cast<float>(beta2);
  rule.share1 = static_cast<float>(1 - beta1), rule.share2 = static_cast<float>(1 - beta2);
  rule.step_size = static_cast<float>(-learning_rate * correction2 / correction1);
  rule.epsilon = static_cast<float>(epsilon * correction2);
  rule.keep = static_cast<float>(1 - learning_rate * weight_decay);
  return rule;
}

void eight_bit_adamw(const at::Tensor& parameter, const at::Tensor& gradient, const EightBitMoments& moments, const AdamRule& rule,
                     const at::Tensor& skip) {
  const at::Device device = parameter.device();
  if (parameter.scalar_type() != at::kFloat || gradient.scalar_type() != at::kFloat || !parameter.is_contiguous() ||
      !gradient.is_contiguous() || gradient.sizes() != parameter.sizes() || moments.mean.numel() != parameter.numel() ||
      gradient.device() != device || moments.mean.device() != device)
    throw InternalError("eight_bit_adamw: float32, contiguous tensors of one shape on one device are needed");
  if (device.is_cuda() && compiled_cuda_kernels() != nullptr)
    return gpu::eight_bit_adamw(*compiled_cuda_kernels(), parameter, gradient, pointers(moments), rule, skip);
  if (skip.defined() && skip.item<float>() != 0) return;
  if (!device.is_cpu()) return through_the_host(parameter, gradient, moments, rule);
  cpu::eight_bit_adamw(parameter.mutable_data_ptr<float>(), gradient.const_data_ptr<float>(), parameter.numel(), pointers(moments), rule);
}

}  // namespace graft::quant
