#pragma once

#include <ATen/core/Tensor.h>

namespace graft::ops {

/// Rotary position embedding in the half-split layout of Hugging Face's models (Su et al. 2021, arXiv:2104.09864):
///
///   y[:half] = x[:half] cos − x[half:] sin,   y[half:] = x[half:] cos + x[:half] sin
///
/// input     [rows, length, heads, size], float32 / bfloat16 / float16, size even
/// cos, sin  [rows or 1, length, size / 2], the input's dtype and device, no gradient (attention scaling already multiplied in)
///
/// Each product is rounded to the input's dtype before the sum, as transformers does. Saves only cos and sin for backward.
at::Tensor rotary(const at::Tensor& input, const at::Tensor& cos, const at::Tensor& sin);

}  // namespace graft::ops
