#pragma once

#include <ATen/core/Tensor.h>

namespace graft::ops {

/// Whether product() below computes with oneDNN for operands like x: float32 on a CPU, outside autocast, in a LibTorch that has it.
bool has_onednn_products(const at::Tensor& x);

/// left·right (+ bias [n]) → [m, n], fresh. left [m, k], right [k, n], bias in their dtype or undefined.
///
/// In float32 on a CPU by oneDNN, which brings AVX-512 kernels for every vendor's processors; LibTorch's mm calls MKL, which keeps to AVX2
/// on AMD's (two cores of a Zen 5, 1024 rows of SmolLM-135M's weights: 490 against 222 GFLOP/s). Elsewhere by LibTorch's mm and addmm.
/// The same operands give the same bits every time.
at::Tensor product(const at::Tensor& left, const at::Tensor& right, const at::Tensor& bias = {});

/// left·right in the memory of `buffer` [m, n]; where oneDNN computes it, in memory of its own.
at::Tensor product_in(at::Tensor buffer, const at::Tensor& left, const at::Tensor& right);

/// sum + left·right, sum [m, n] contiguous. The caller gives `sum` up: the result may be written over it.
at::Tensor add_product(at::Tensor sum, const at::Tensor& left, const at::Tensor& right);

/// scale · (left·right), in one kernel where LibTorch computes it. Any strides.
at::Tensor scaled_product(const at::Tensor& left, const at::Tensor& right, double scale);

/// left·right for a master of `dtype`: a GPU keeps the float32 sum it has anyway instead of rounding it to the factors' dtype first.
at::Tensor master_gradient(const at::Tensor& left, const at::Tensor& right, at::ScalarType dtype);

}  // namespace graft::ops
