#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "graft/ops/linear_operand.h"

namespace graft::ops {

struct NormLinears {
  std::vector<at::Tensor> outputs;  ///< y_i
  at::Tensor residual;              ///< x: take it for the residual sum, and its gradient joins the norm's in one pass
  bool at_once = false;             ///< gradients of y_i that lie side by side in one matrix cost one product instead of one each
};

/// The way into an attention block: y_i = rms_norm(x)·W_iᵀ + bias_i for Linears that share the normalised input.
///
/// x            [..., width], float32 / bfloat16 / float16
/// norm_weight  [width]
/// y_i          [..., out_i] in x's dtype
///
/// Weights may be plain or adapted (see look_through). Values are those of rms_norm followed by the Linears; what differs is what is kept:
/// x, one reciprocal root per row and the low-rank products, not the normalised input, which backward computes again. When something here
/// is trained in place (full fine-tuning, norms in modules_to_save) the plain operators run.
NormLinears norm_linears(const at::Tensor& x, const at::Tensor& norm_weight, double epsilon, const std::vector<LinearParameters>& linears);

}  // namespace graft::ops
