#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace graft::app {

/// The weight in another dtype, contiguous. DataError naming it when a finite number becomes an infinite one (float16 ends at 65504).
at::Tensor cast_weight(const at::Tensor& weight, at::ScalarType dtype, const std::string& name);

}  // namespace graft::app
