#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceGuard.h>

#include <cstdint>

#include "graft/ops/cuda_launchers.h"

namespace graft::ops {

/// graft's own GPU kernels, one pointer per launcher of cuda_launchers.h. Absent (null) in a build without nvcc: ops then compute with
/// LibTorch's operators, which gives the same values in more passes over memory.
struct CudaKernels {
  decltype(&cuda::rms_norm_forward) rms_norm_forward;
  decltype(&cuda::rms_norm_backward) rms_norm_backward;
  decltype(&cuda::rotary) rotary;
  decltype(&cuda::place_columns) place_columns;
  decltype(&cuda::swiglu_forward) swiglu_forward;
  decltype(&cuda::swiglu_backward) swiglu_backward;
  decltype(&cuda::low_rank_sum) low_rank_sum;
  decltype(&cuda::low_rank_dropped_sum) low_rank_dropped_sum;
  decltype(&cuda::low_rank_swiglu_forward) low_rank_swiglu_forward;
  decltype(&cuda::low_rank_swiglu_partial_size) low_rank_swiglu_partial_size;
  decltype(&cuda::low_rank_swiglu_backward) low_rank_swiglu_backward;
  decltype(&cuda::dropped_products) dropped_products;
  decltype(&cuda::dropped_contractions_partial_size) dropped_contractions_partial_size;
  decltype(&cuda::dropped_contractions) dropped_contractions;
  decltype(&cuda::drop) drop;
  decltype(&cuda::cross_entropy) cross_entropy;
};

/// The table when `tensor` is on a GPU and of a dtype the kernels know (float32, bfloat16, float16), else null. Says once, in a warning,
/// when there is a GPU but this build has no kernels.
const CudaKernels* cuda_kernels_for(const at::Tensor& tensor);

/// Where a kernel runs: the tensor's device made current, and its current stream. Lives as long as the launch.
class CudaLaunch {
 public:
  explicit CudaLaunch(const at::Tensor& tensor);
  void* stream() const { return stream_; }

 private:
  c10::DeviceGuard guard_;
  void* stream_;
};

/// The kernels' name for a dtype.
cuda::Real real_of(at::ScalarType dtype);
inline cuda::Real real_of(const at::Tensor& tensor) { return real_of(tensor.scalar_type()); }

}  // namespace graft::ops
