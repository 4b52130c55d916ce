#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "graft/ops/dropout.h"
#include "graft/ops/frozen_weight.h"

namespace graft::ops {

/// One low-rank update of a weight W [out, in] (Hu et al. 2021, arXiv:2106.09685): W + scale · B·A.
struct LoraTerm {
  at::Tensor a;      ///< [r, in], the master, usually float32
  at::Tensor b;      ///< [out, r]
  double scale = 1;  ///< alpha / r, or alpha / sqrt(r), times the adapter's weight
  Dropout dropout;   ///< of x
};

/// y = x·Wᵀ + bias + Σ scale · (drop(x)·Aᵀ)·Bᵀ,  drop(x) = x where the term's dropout keeps it, 0 elsewhere, / keep
///
/// x     [..., in], float32 / bfloat16 / float16, any strides, may be empty
/// bias  [out] in x's dtype, or undefined
/// y     [..., out] in x's dtype
///
/// The product with W is the one `form` names, bit for bit; the low-rank part is added to it in place. A and B are cast to x's dtype for
/// the product; their gradients come back in their own dtype. Gradients for x, bias, A and B; never for W.
/// Saves for backward: x (once, shared with whoever else keeps it) and x·Aᵀ per term (r wide); what was dropped is computed again.
/// Deterministic where LibTorch's matrix products are. Not twice differentiable: backward with create_graph is a UsageError.
at::Tensor lora_linear(const at::Tensor& x, const std::shared_ptr<const FrozenWeight>& weight, const at::Tensor& bias, LinearForm form,
                       const std::vector<LoraTerm>& terms);

/// Rows of W + scale · (B·A)ᵀ for an embedding table W [num, dim], with A [r, num] and B [dim, r] (PEFT's lora_embedding_A / _B):
///
/// y = W[ids] + Σ scale · A[:, ids]ᵀ·Bᵀ
///
/// The low-rank part is computed in the factors' dtype and rounded once. Rows equal to padding_idx give A no gradient.
at::Tensor lora_embedding(const at::Tensor& ids, const FrozenWeight& weight, const std::vector<LoraTerm>& terms, int64_t padding_idx = -1,
                          bool scale_grad_by_freq = false);

}  // namespace graft::ops
