#pragma once

#include <ATen/core/Tensor.h>

namespace graft::ops {

/// x·Wᵀ + bias for a weight that is trained in full; gradients for x, W and bias, each in its own dtype.
///
/// x [..., in], weight [out, in], bias [out] or undefined, all of one floating dtype. By ops::product where oneDNN computes it, so that a
/// copy of a frozen weight gives that weight's bits; then not twice differentiable (a UsageError). Elsewhere this is at::linear.
at::Tensor trained_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

}  // namespace graft::ops
