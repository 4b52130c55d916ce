#include "graft/ops/cuda_kernels.h"

namespace graft::ops {

const CudaKernels* compiled_cuda_kernels();

const CudaKernels* compiled_cuda_kernels() {
  static const CudaKernels kernels{&cuda::rms_norm_forward,
                                   &cuda::rms_norm_backward,
                                   &cuda::rotary,
                                   &cuda::place_columns,
                                   &cuda::swiglu_forward,
                                   &cuda::swiglu_backward,
                                   &cuda::low_rank_sum,
                                   &cuda::low_rank_dropped_sum,
                                   &cuda::low_rank_swiglu_forward,
                                   &cuda::low_rank_swiglu_partial_size,
                                   &cuda::low_rank_swiglu_backward,
                                   &cuda::dropped_products,
                                   &cuda::dropped_contractions_partial_size,
                                   &cuda::dropped_contractions,
                                   &cuda::drop,
                                   &cuda::cross_entropy};
  return &kernels;
}

}  // namespace graft::ops
