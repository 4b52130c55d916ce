#include "graft/ops/device_types.cuh"
#include "graft/quant/cuda_launchers.h"

namespace graft::quant::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kOfLane = static_cast<int>(kMomentBlock) / 32;

/// codebook.cpp's search, step by step.
__device__ inline int nearest(const float* map, float x) {
  int pivot = 127, below = 0, above = 255;
#pragma unroll
  for (int step = 64; step > 0; step /= 2) {
    if (x > map[pivot]) {
      below = pivot, pivot += step;
    } else {
      above = pivot, pivot -= step;
    }
  }
  const float value = map[pivot];
  if (x > value) return x > __fmul_rn(__fadd_rn(map[above], value), 0.5f) ? above : pivot;
  return x < __fmul_rn(__fadd_rn(map[below], value), 0.5f) ? below : pivot;
}

__device__ inline uint8_t mean_code(const float* map, float mean, float largest) {
  const int code = nearest(map, __fdiv_rn(mean, largest));
  const bool sign_lost = mean != 0 && signbit(map[code]) != signbit(mean);
  return static_cast<uint8_t>(sign_lost ? (mean > 0 ? code + 1 : code - 1) : code);
}

/// decay·(entry·scale) + addend, each operation rounded by itself, as the CPU does.
__device__ inline float averaged(float entry, float scale, float decay, float addend) {
  return __fadd_rn(__fmul_rn(__fmul_rn(entry, scale), decay), addend);
}

/// One warp a block of 256 numbers; neighbouring lanes take neighbouring numbers. Magnitudes are compared as bits: they are not negative.
__global__ void __launch_bounds__(kThreads) step_kernel(float* parameter, const float* gradient, int64_t count, MomentPointers moments,
                                                        AdamRule rule, const float* maps, const float* skip) {
  __shared__ float means[256], squares[256];
  means[threadIdx.x] = maps[threadIdx.x];
  squares[threadIdx.x] = maps[256 + threadIdx.x];
  __syncthreads();
  if (skip != nullptr && *skip != 0.0f) return;
  const int64_t block = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) / 32, first = block * kMomentBlock;
  if (first >= count) return;  // the whole warp
  const float mean_absmax = moments.mean_absmax[block], square_absmax = moments.square_absmax[block];
  float mean[kOfLane], square[kOfLane];
  uint32_t mean_bits = 0, square_bits = 0;
#pragma unroll
  for (int j = 0; j < kOfLane; ++j) {
    const int64_t i = first + threadIdx.x % 32 + j * 32;
    mean[j] = square[j] = 0.0f;
    if (i >= count) continue;
    const float g = gradient[i];
    if (!isfinite(g)) continue;
    mean[j] = averaged(means[moments.mean[i]], mean_absmax, rule.beta1, __fmul_rn(rule.share1, g));
    square[j] = averaged(squares[moments.square[i]], square_absmax, rule.beta2, __fmul_rn(__fmul_rn(rule.share2, g), g));
    const float update = __fdiv_rn(mean[j], __fadd_rn(__fsqrt_rn(square[j]), rule.epsilon));
    parameter[i] = __fmul_rn(__fadd_rn(parameter[i], __fmul_rn(rule.step_size, update)), rule.keep);
    mean_bits = max(mean_bits, __float_as_uint(fabsf(mean[j])));
    square_bits = max(square_bits, __float_as_uint(square[j]) & 0x7fffffffu);
  }
  const float largest_mean = __uint_as_float(__reduce_max_sync(0xffffffffu, mean_bits));
  const float largest_square = __uint_as_float(__reduce_max_sync(0xffffffffu, square_bits));
#pragma unroll
  for (int j = 0; j < kOfLane; ++j) {
    const int64_t i = first + threadIdx.x % 32 + j * 32;
    if (i >= count) continue;
    moments.mean[i] = mean_code(means, mean[j], largest_mean);
    moments.square[i] = static_cast<uint8_t>(nearest(squares, __fdiv_rn(square[j], largest_square)));
  }
  if (threadIdx.x % 32 == 0) moments.mean_absmax[block] = largest_mean, moments.square_absmax[block] = largest_square;
}

}  // namespace

void eight_bit_adamw(float* parameter, const float* gradient, int64_t count, const MomentPointers& moments, const AdamRule& rule,
                     const float* maps, const float* skip, void* stream) {
  if (count == 0) return;
  const int64_t warps = (count + kMomentBlock - 1) / kMomentBlock, blocks = (warps * 32 + kThreads - 1) / kThreads;
  step_kernel<<<static_cast<unsigned>(blocks), kThreads, 0, ops::cuda::as_stream(stream)>>>(parameter, gradient, count, moments, rule, maps,
                                                                                            skip);
  ops::cuda::check_launch("eight_bit_adamw");
}

}  // namespace graft::quant::cuda
