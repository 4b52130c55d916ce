#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace graft::train {

/// The 2-norm over all gradients together, before clipping, as a float32 scalar on their device (no host synchronisation):
/// norms per tensor in float32 (in float64 when one of them is), combined in float64. Undefined gradients are left out; none at all gives
/// 0.
at::Tensor gradient_norm(const std::vector<at::Tensor>& gradients);

/// Scales the gradients in place by min(1, max_norm / (norm + 1e-6)), torch.nn.utils.clip_grad_norm_'s formula, on the device. A norm that
/// is not finite leaves them as they are, so that the culprit can still be told.
void clip_gradients(const std::vector<at::Tensor>& gradients, const at::Tensor& norm, double max_norm);

}  // namespace graft::train
