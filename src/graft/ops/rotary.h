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

/// What one projection gives an attention block, each [rows, length, its heads, size].
struct Heads {
  at::Tensor query, key, value;
};

/// rotary() of query and key; value as it is. Backward lays the three gradients side by side, as columns of one matrix: the projection can
/// multiply them at once (NormLinears::at_once).
Heads rotary_side_by_side(const Heads& heads, const at::Tensor& cos, const at::Tensor& sin);

}  // namespace graft::ops
