#pragma once

#include <ATen/core/Tensor.h>

namespace graft::app {

/// Multiply-adds counted as two operations, per second, of at::mm on square matrices of normal numbers in this dtype: what the device can
/// be hoped to do. 8192 wide on a GPU, 1024 on a CPU; three products to warm up, ten timed.
double measured_gemm_rate(at::Device device, at::ScalarType dtype);

}  // namespace graft::app
