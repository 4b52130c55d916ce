#include "graft/quant/cuda_kernels.h"

namespace graft::quant {

const CudaKernels* compiled_cuda_kernels() {
  static const CudaKernels kernels{&cuda::decode_four_bit, &cuda::encode_four_bit,  &cuda::encode_fp8_rows,
                                   &cuda::transpose_bytes, &cuda::has_fp8_products, &cuda::eight_bit_adamw};
  return &kernels;
}

}  // namespace graft::quant
