#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace graft::detail {

/// B·A, with B [rows, rank] and A [rank, columns].
struct LowRank {
  at::Tensor a, b;
};

/// The nearest matrix of rank `rank`, split evenly: with M = U·S·Vᵀ and its `rank` largest singular values, B = U·√S and A = √S·Vᵀ.
/// Float32, on the matrix's device; rank at most min(rows, columns); the signs of a singular pair are the library's.
///
/// Up to 1024 rows or columns (or a rank of a quarter of them) from LibTorch's full SVD. Beyond that a full one takes minutes a matrix: a
/// randomised one (Halko, Martinsson, Tropp 2011, algorithms 4.4 and 5.1) with 10 directions more than asked for and 16 rounds of subspace
/// iteration, begun with numbers that are a pure function of (seed, name). Both give the same bits again on one machine with one number of
/// threads; other devices differ in rounding.
LowRank nearest_low_rank(const at::Tensor& matrix, int64_t rank, uint64_t seed, const std::string& name);

}  // namespace graft::detail
