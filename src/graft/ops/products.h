#pragma once

#include <ATen/core/Tensor.h>

namespace graft::ops {

/// scale · (left·right), in one kernel. left [m, k], right [k, n], any strides.
at::Tensor scaled_product(const at::Tensor& left, const at::Tensor& right, double scale);

/// left·right for a master of `dtype`: a GPU keeps the float32 sum it has anyway instead of rounding it to the factors' dtype first.
at::Tensor master_gradient(const at::Tensor& left, const at::Tensor& right, at::ScalarType dtype);

}  // namespace graft::ops
