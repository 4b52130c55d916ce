#pragma once

#include <ATen/core/Tensor.h>

namespace graft::ops {

/// Root-mean-square normalisation over the last dimension (Zhang & Sennrich 2019, arXiv:1910.07467):
///
///   y = round(x / sqrt(mean(x², last dim) + epsilon)) * weight
///
/// input    [..., width], float32 / bfloat16 / float16, any strides
/// weight   [width], same device; may be frozen
///
/// Statistics are computed in float32 whatever the input's dtype; the normalised value is rounded to the input's dtype before it
/// is multiplied by the weight (transformers' order). The result has the input's dtype and shape.
/// Saves for backward: input and the reciprocal root per row (4 bytes per row), not the output. No weight gradient is computed
/// for a frozen weight. Throws DataError when the widths differ. Deterministic.
at::Tensor rms_norm(const at::Tensor& input, const at::Tensor& weight, double epsilon);

}  // namespace graft::ops
