#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "graft/ops/dropout.h"

namespace graft::ops {

// The two products of an input x [T, in] with the factors of adapters that drop it first, each its own entries (LoRA's dropout). On a GPU,
// in bfloat16 and float16, for ranks that are a multiple of 4 up to cuda::kMostDroppedFactorRank and an `in` that is a multiple of 8: one
// pass over x for up to three factors, and no dropped x is written. Elsewhere drop() and a product for each.

struct DroppedFactor {
  at::Tensor a;  ///< A [rank, in], contiguous, in x's dtype
  double scale = 1;
  Dropout dropout;
};
/// P_i = scale_i · drop_i(x)·A_iᵀ, side by side: [T, Σ rank].
at::Tensor dropped_products(const at::Tensor& x, const std::vector<DroppedFactor>& factors);

struct DroppedContraction {
  at::Tensor narrow;  ///< Q [T, rank] in x's dtype
  Dropout dropout;
};
/// Q_iᵀ·drop_i(x) [rank, in] for every term, in `dtype` (of the factors' masters).
std::vector<at::Tensor> dropped_contractions(const at::Tensor& x, const std::vector<DroppedContraction>& terms, at::ScalarType dtype);

}  // namespace graft::ops
