#pragma once

#include <ATen/core/Tensor.h>

namespace graft::ops {

/// The gated activation of Llama-like MLPs (Shazeer 2020, arXiv:2002.05202): silu(gate) * up, silu(z) = z / (1 + exp(−z)).
///
/// gate, up  the same shape and dtype, float32 / bfloat16 / float16
///
/// silu is rounded to the dtype before the product (transformers' order). Saves only gate and up for backward.
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

}  // namespace graft::ops
