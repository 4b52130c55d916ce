#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "graft/ops/cuda_launchers.h"

/// What the *_cuda.cu files share: conversions, 16-byte vectors, block sums, and the choice of a template by dtype and alignment.
namespace graft::ops::cuda {

__device__ inline float to_float(float value) { return value; }
__device__ inline float to_float(__nv_bfloat16 value) { return __bfloat162float(value); }
__device__ inline float to_float(__half value) { return __half2float(value); }
template <typename T>
__device__ T from_float(float value);
template <>
__device__ inline float from_float<float>(float value) {
  return value;
}
template <>
__device__ inline __nv_bfloat16 from_float<__nv_bfloat16>(float value) {
  return __float2bfloat16_rn(value);
}
template <>
__device__ inline __half from_float<__half>(float value) {
  return __float2half_rn(value);
}
/// value rounded to T and back: where transformers holds an intermediate in T.
template <typename T>
__device__ float rounded(float value) {
  return to_float(from_float<T>(value));
}

/// `Count` neighbours, moved in one instruction when they fill 16 bytes.
template <typename T, int Count>
struct alignas(sizeof(T) * Count) Vector {
  T item[Count];
};
template <typename T, int Count>
__device__ Vector<T, Count> load(const T* from, int64_t index) {
  return reinterpret_cast<const Vector<T, Count>*>(from)[index];
}
template <typename T, int Count>
__device__ void store(T* to, int64_t index, const Vector<T, Count>& value) {
  reinterpret_cast<Vector<T, Count>*>(to)[index] = value;
}

__device__ inline float warp_sum(float value) {
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(0xffffffffu, value, offset);
  return value;
}

/// The sum over a block of at most 1024 threads, known to all of them. Same order every time.
__device__ inline float block_sum(float value) {
  __shared__ float partial[32];
  __syncthreads();  // a previous call's readers are done
  const float mine = warp_sum(value);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = mine;
  __syncthreads();
  return warp_sum(threadIdx.x % 32 < (blockDim.x + 31) / 32 ? partial[threadIdx.x % 32] : 0.0f);
}

inline cudaStream_t as_stream(void* stream) { return static_cast<cudaStream_t>(stream); }

inline void check_launch(const char* kernel) {
  const cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess) throw std::runtime_error(std::string("the GPU kernel ") + kernel + " failed: " + cudaGetErrorString(status));
}

inline bool is_aligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }

/// Calls body(T{}, integral constant of elements per access): 16 bytes at a time when `wide`, else one element.
template <int Count>
struct Width {
  static constexpr int value = Count;
};
template <typename Body>
void dispatch(Real dtype, bool wide, Body body) {
  switch (dtype) {
    case Real::kFloat:
      return wide ? body(float{}, Width<4>{}) : body(float{}, Width<1>{});
    case Real::kBFloat16:
      return wide ? body(__nv_bfloat16{}, Width<8>{}) : body(__nv_bfloat16{}, Width<1>{});
    case Real::kHalf:
      return wide ? body(__half{}, Width<8>{}) : body(__half{}, Width<1>{});
  }
}
inline int64_t elements_per_access(Real dtype) { return dtype == Real::kFloat ? 4 : 8; }

}  // namespace graft::ops::cuda
