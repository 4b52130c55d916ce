#pragma once

#include <ATen/core/Tensor.h>

#include "graft/quant/cuda_launchers.h"
#include "graft/quant/four_bit.h"

namespace graft::quant {

/// The GPU kernels of this folder; see ops/cuda_kernels.h.
struct CudaKernels {
  decltype(&cuda::decode_four_bit) decode_four_bit;
  decltype(&cuda::encode_four_bit) encode_four_bit;
  decltype(&cuda::encode_fp8_rows) encode_fp8_rows;
  decltype(&cuda::transpose_bytes) transpose_bytes;
  decltype(&cuda::has_fp8_products) has_fp8_products;
  decltype(&cuda::eight_bit_adamw) eight_bit_adamw;
};

/// Null in a build without nvcc: 4-bit weights on a GPU are then decoded on the host, and 8-bit
/// moments stepped there, which is far slower and gives the same bits.
const CudaKernels* compiled_cuda_kernels();

namespace gpu {

/// four_bit.h's decode on a GPU, into `out` [out, in] (rows may lie apart).
void decode(const CudaKernels& kernels, const FourBitTensor& tensor, const at::Tensor& out);
/// Codes and maxima of a contiguous matrix on a GPU; both are there already. False when a weight is NaN or infinite.
bool encode(const CudaKernels& kernels, const at::Tensor& weight, const FourBitTensor& tensor);
/// eight_bit_adam.h's step on a GPU.
void eight_bit_adamw(const CudaKernels& kernels, const at::Tensor& parameter, const at::Tensor& gradient, const MomentPointers& moments,
                     const AdamRule& rule, const at::Tensor& skip);

}  // namespace gpu
}  // namespace graft::quant
