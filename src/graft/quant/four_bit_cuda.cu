#include "graft/ops/device_types.cuh"
#include "graft/quant/cuda_launchers.h"

namespace graft::quant::cuda {
namespace {

using ops::cuda::from_float;
using ops::cuda::Real;
using ops::cuda::rounded;
using ops::cuda::to_float;
using ops::cuda::Vector;

constexpr int kThreads = 256;
constexpr int kGroup = 8;  // weights of one 4-byte load and one 16-byte store of 2-byte numbers
constexpr int kGroups = 4;  // of one thread: loads in flight

struct Decode {
  const uint8_t* codes;
  const float* map;
  BlockScales scales;
  int block_shift;   // log2 of the block
  int nested_shift;  // log2 of the nested block, or -1
  int64_t count, columns, row_stride;
  Real prior;  // what to round to before the output's dtype
};

int log2_of(int64_t value) {
  int shift = 0;
  while ((int64_t{1} << shift) < value) ++shift;
  return (int64_t{1} << shift) == value ? shift : -1;
}

/// The maximum of the block that holds weight `index`: two separately rounded operations when nested.
__device__ inline float scale_of(const Decode& p, int64_t index) {
  const int64_t block = index >> p.block_shift;
  if (p.scales.nested_absmax == nullptr) return __ldg(static_cast<const float*>(p.scales.absmax) + block);
  const int64_t group = p.nested_shift >= 0 ? block >> p.nested_shift : block / p.scales.nested_block;
  const uint8_t code = __ldg(static_cast<const uint8_t*>(p.scales.absmax) + block);
  return __fadd_rn(__fmul_rn(__ldg(p.scales.nested_map + code), __ldg(p.scales.nested_absmax + group)), p.scales.offset);
}

template <typename T>
__device__ inline T weight_of(float entry, float scale, Real prior) {
  float value = __fmul_rn(entry, scale);
  if (prior == Real::kBFloat16) value = rounded<__nv_bfloat16>(value);
  if (prior == Real::kHalf) value = rounded<__half>(value);
  return from_float<T>(value);
}

__device__ inline int64_t place_of(const Decode& p, int64_t index) {
  return p.row_stride == p.columns ? index : index / p.columns * p.row_stride + index % p.columns;
}

/// Neighbouring lanes take neighbouring groups of eight, so that loads and stores of a warp are whole lines.
template <typename T>
__global__ void __launch_bounds__(kThreads) decode_groups(Decode p, T* out) {
  __shared__ float map[16];
  if (threadIdx.x < 16) map[threadIdx.x] = p.map[threadIdx.x];
  __syncthreads();
  const int64_t groups = p.count / kGroup;
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x / 32 * 32) * kGroups + threadIdx.x % 32;
  const auto* words = reinterpret_cast<const uint32_t*>(p.codes);
  uint32_t packed[kGroups];
  float scale[kGroups];
#pragma unroll
  for (int g = 0; g < kGroups; ++g) {
    const int64_t group = first + g * 32;
    packed[g] = group < groups ? __ldg(words + group) : 0;
    scale[g] = group < groups ? scale_of(p, group * kGroup) : 0.0f;
  }
#pragma unroll
  for (int g = 0; g < kGroups; ++g) {
    const int64_t group = first + g * 32;
    if (group >= groups) return;
    constexpr int kItems = 16 / sizeof(T);
    Vector<T, kItems> part[kGroup / kItems];
#pragma unroll
    for (int j = 0; j < kGroup; ++j) {
      const uint32_t code = packed[g] >> (j / 2 * 8 + (j % 2 == 0 ? 4 : 0)) & 15u;  // the high half comes first
      part[j / kItems].item[j % kItems] = weight_of<T>(map[code], scale[g], p.prior);
    }
    auto* to = reinterpret_cast<Vector<T, kItems>*>(out + place_of(p, group * kGroup));
#pragma unroll
    for (int k = 0; k < kGroup / kItems; ++k) to[k] = part[k];
  }
}

/// One weight a thread, from `begin`: what is left of a row of groups, and matrices that no vector fits.
template <typename T>
__global__ void __launch_bounds__(kThreads) decode_single(Decode p, int64_t begin, T* out) {
  const int64_t index = begin + static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (index >= p.count) return;
  const uint32_t code = p.codes[index / 2] >> (index % 2 == 0 ? 4 : 0) & 15u;
  out[place_of(p, index)] = weight_of<T>(p.map[code], scale_of(p, index), p.prior);
}

unsigned blocks_for(int64_t threads) { return static_cast<unsigned>((threads + kThreads - 1) / kThreads); }

template <typename T>
void decode_as(const Decode& p, void* out, cudaStream_t stream) {
  const bool contiguous = p.row_stride == p.columns;
  const bool rows_fit = p.columns % kGroup == 0 && p.row_stride * static_cast<int64_t>(sizeof(T)) % 16 == 0;
  const bool wide = (contiguous || rows_fit) && ops::cuda::is_aligned(out) && reinterpret_cast<uintptr_t>(p.codes) % 4 == 0;
  const int64_t groups = wide ? p.count / kGroup : 0, rest = p.count - groups * kGroup;
  auto* to = static_cast<T*>(out);
  if (groups > 0) decode_groups<T><<<blocks_for((groups + kGroups - 1) / kGroups), kThreads, 0, stream>>>(p, to);
  if (rest > 0) decode_single<T><<<blocks_for(rest), kThreads, 0, stream>>>(p, groups * kGroup, to);
  ops::cuda::check_launch("decode_four_bit");
}

__device__ inline uint32_t code_of(float value, const EncodeRule& rule) {
  uint32_t rank = 0;
  if (rule.nf4) {
#pragma unroll
    for (int t = 0; t < 15; ++t) rank += value > rule.thresholds[t] ? 1u : 0u;
    return rank;
  }
  const float magnitude = fabsf(value);
#pragma unroll
  for (int t = 0; t < 7; ++t) rank += magnitude > rule.thresholds[t] ? 1u : 0u;
  return rule.code_of_rank[rank] | (value < 0 ? 8u : 0u);
}

/// One warp a block of weights: the largest magnitude first (as bits, so that NaN wins), then the codes.
template <typename T>
__global__ void __launch_bounds__(kThreads) encode_kernel(const T* weights, int64_t count, EncodeRule rule, int block_shift,
                                                          uint8_t* codes, float* absmax, int* not_finite) {
  const int64_t block = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) / 32, first = block << block_shift;
  if (first >= count) return;
  const int lane = threadIdx.x % 32;
  const int64_t left = count - first;
  const int size = static_cast<int>(left < (int64_t{1} << block_shift) ? left : int64_t{1} << block_shift);
  const T* w = weights + first;
  uint32_t bits = 0;
  for (int i = lane; i < size; i += 32) bits = max(bits, __float_as_uint(to_float(w[i])) & 0x7fffffffu);
  bits = __reduce_max_sync(0xffffffffu, bits);
  if (bits >= 0x7f800000u) {
    if (lane == 0) *not_finite = 1;
    return;
  }
  const float largest = __uint_as_float(bits), inverse = __fdiv_rn(1.0f, largest);
  if (lane == 0) absmax[block] = largest;
  for (int i = 2 * lane; i < size; i += 64) {
    const uint32_t high = code_of(__fmul_rn(to_float(w[i]), inverse), rule);
    // The unused half of the last byte holds the code of 0.
    const uint32_t low = i + 1 < size ? code_of(__fmul_rn(to_float(w[i + 1]), inverse), rule) : code_of(0.0f, rule);
    codes[(first + i) / 2] = static_cast<uint8_t>(high << 4 | low);
  }
}

}  // namespace

void decode_four_bit(const uint8_t* codes, const float* map, const BlockScales& scales, int64_t block, int64_t rows, int64_t columns,
                     Real state, Real out_dtype, void* out, int64_t row_stride, void* stream) {
  const int64_t count = rows * columns;
  if (count == 0) return;
  const Real prior = state == out_dtype ? Real::kFloat : state;
  const Decode p{codes, map, scales, log2_of(block), log2_of(scales.nested_block), count, columns, rows == 1 ? columns : row_stride, prior};
  ops::cuda::dispatch(out_dtype, false, [&](auto type, auto) { decode_as<decltype(type)>(p, out, ops::cuda::as_stream(stream)); });
}

void encode_four_bit(Real dtype, const void* weights, int64_t count, const EncodeRule& rule, int64_t block, uint8_t* codes, float* absmax,
                     int* not_finite, void* stream) {
  if (count == 0) return;
  const int64_t blocks = (count + block - 1) / block;
  ops::cuda::dispatch(dtype, false, [&](auto type, auto) {
    using T = decltype(type);
    encode_kernel<T><<<blocks_for(blocks * 32), kThreads, 0, ops::cuda::as_stream(stream)>>>(static_cast<const T*>(weights), count, rule,
                                                                                             log2_of(block), codes, absmax, not_finite);
  });
  ops::cuda::check_launch("encode_four_bit");
}

}  // namespace graft::quant::cuda
