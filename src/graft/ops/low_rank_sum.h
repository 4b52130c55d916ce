#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "graft/ops/cuda_launchers.h"
#include "graft/ops/dropout.h"

namespace graft::ops {

/// base + narrow·wideᵀ, not yet added: a Linear's product with its frozen weight, and what its adapters add. An operator that reads the sum
/// once (SwiGLU) adds the second part where it reads the first, which saves writing a wide matrix and reading it back.
struct LowRankSum {
  LowRankSum(at::Tensor matrix, at::Tensor narrow_part = {}, at::Tensor wide_part = {})  // NOLINT: a matrix is a sum of one part
      : base(std::move(matrix)), narrow(std::move(narrow_part)), wide(std::move(wide_part)) {}

  at::Tensor base;    ///< [rows, width], contiguous
  at::Tensor narrow;  ///< [rows, rank], rows may be apart; undefined: nothing is added
  at::Tensor wide;    ///< [width, rank], any strides
};

/// Whether operators on matrices of `like`'s device and dtype, `width` columns, add products of `rank` themselves. Where not, whoever makes
/// a LowRankSum writes the sum out and leaves `narrow` undefined. On a GPU: bfloat16 or float16, a rank that is a multiple of 4 and at most
/// kMostActivatedRank, a width that is a multiple of 8.
bool keeps_apart(const at::Tensor& like, int64_t width, int64_t rank);

/// base + narrow·wideᵀ + Σ addends (of base's shape, dtype and device, contiguous), written over base. In one pass, with at most two
/// addends, where keeps_apart says so or the rank is one up to kMostSummedRank.
at::Tensor add_up(const LowRankSum& sum, const std::vector<at::Tensor>& addends);

/// narrow·wideᵀ of which entries are dropped.
struct DroppedProduct {
  at::Tensor narrow;  ///< [rows, rank], contiguous
  at::Tensor wide;    ///< [width, rank], any strides
  Dropout dropout;
};
/// base [rows, width] += Σ drop(narrow·wideᵀ), in place. On a GPU in passes of up to kMostDroppedProducts, for ranks up to
/// kMostDroppedRank.
void add_dropped(at::Tensor& base, const std::vector<DroppedProduct>& products);

/// Whether the kernels' 16-byte accesses may begin at its first entry.
bool is_aligned(const at::Tensor& matrix);

/// The kernels' form of what is apart; rank 0 when nothing is.
cuda::LowRank terms_of(const LowRankSum& sum);

}  // namespace graft::ops
