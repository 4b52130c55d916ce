#pragma once

#include <ATen/core/Tensor.h>

#include "graft/ops/linear_operand.h"
#include "graft/ops/recompute.h"

namespace graft::ops {

/// The Linears of a gated MLP.
struct GatedMlpParameters {
  LinearParameters gate, up, down;
};

/// The second half of a decoder block, with both residual sums:
///
///   r = x + delta,   n = rms_norm(r),   y = r + down(silu(gate(n)) · up(n))
///
/// x, delta, y  [..., width], float32 / bfloat16 / float16 (delta: what attention added)
///
/// Weights may be plain or adapted (see look_through). Values are those of the plain operators in this order. Kept for backward: r, one
/// reciprocal root per row, gate(n), up(n) and the low-rank products; n and the product are computed again. On a GPU backward writes its
/// large intermediates over gate(n) and up(n), unless the graph is retained. Falls back as norm_linears does. In a gradient-only pass the
/// down projection is left out: y is not computed, and its low-rank product is the one the first pass kept.
at::Tensor norm_gated_mlp(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& norm_weight, double epsilon,
                          const GatedMlpParameters& mlp, Pass pass = {});

}  // namespace graft::ops
