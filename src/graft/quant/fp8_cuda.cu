#include <cuda_fp8.h>

#include "graft/ops/device_types.cuh"
#include "graft/quant/cuda_launchers.h"

namespace graft::quant::cuda {
namespace {

using namespace ops::cuda;

constexpr int kMostThreads = 256;
constexpr float kLargest = 448.0f;
constexpr float kSmallest = 1e-30f;  // a row's magnitude counts as at least this, so that its inverse is finite

/// The largest over a block of bit patterns of magnitudes, which order as the magnitudes do, NaN above all: known to every thread.
__device__ inline unsigned block_max(unsigned value) {
  __shared__ unsigned partial[kMostThreads / 32];
  value = __reduce_max_sync(0xffffffffu, value);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
  __syncthreads();
  return __reduce_max_sync(0xffffffffu, threadIdx.x % 32 < blockDim.x / 32 ? partial[threadIdx.x % 32] : 0u);
}

/// The piece's numbers times their columns' factors.
template <typename T, int N>
__device__ inline void widen(const Vector<T, N>& items, const float* factors, int64_t i, float (&value)[N]) {
  for (int j = 0; j < N; ++j) value[j] = to_float(items.item[j]);
  if (factors == nullptr) return;
  constexpr int kFour = N % 4 == 0 ? 4 : 1;
  for (int j = 0; j < N; j += kFour) {
    const auto four = load<float, kFour>(factors, (i * N + j) / kFour);
    for (int k = 0; k < kFour; ++k) value[j + k] *= four.item[k];
  }
}

template <int N>
__device__ inline unsigned magnitude_bits(const float (&value)[N], unsigned largest) {
  for (int j = 0; j < N; ++j) largest = max(largest, __float_as_uint(fabsf(value[j])));
  return largest;
}

template <int N>
__device__ inline void write_codes(__nv_fp8_storage_t* codes, int64_t i, const float (&value)[N], float inverse) {
  Vector<__nv_fp8_storage_t, N> out;
  if constexpr (N == 1) {
    out.item[0] = __nv_cvt_float_to_fp8(value[0] * inverse, __NV_SATFINITE, __NV_E4M3);
  } else {
    for (int j = 0; j < N; j += 2) {
      const auto pair = __nv_cvt_float2_to_fp8x2({value[j] * inverse, value[j + 1] * inverse}, __NV_SATFINITE, __NV_E4M3);
      out.item[j] = static_cast<__nv_fp8_storage_t>(pair), out.item[j + 1] = static_cast<__nv_fp8_storage_t>(pair >> 8);
    }
  }
  store<__nv_fp8_storage_t, N>(codes, i, out);
}

/// One row a block. A thread keeps `Kept` pieces of N numbers in registers; what is left of a longer row is read twice.
template <typename T, int N, int Threads, int Kept>
__global__ void __launch_bounds__(Threads)
    encode_kernel(const T* x, const float* factors, int64_t width, __nv_fp8_storage_t* codes, float* scales) {
  const T* row = x + blockIdx.x * width;
  __nv_fp8_storage_t* out = codes + blockIdx.x * width;
  const int64_t pieces = width / N, first_left = threadIdx.x + static_cast<int64_t>(Kept) * Threads;
  Vector<T, N> kept[Kept];
  float value[N];
  unsigned largest = 0;
#pragma unroll
  for (int k = 0; k < Kept; ++k)
    if (threadIdx.x + k * Threads < pieces) kept[k] = load<T, N>(row, threadIdx.x + k * Threads);
#pragma unroll
  for (int k = 0; k < Kept; ++k) {
    if (threadIdx.x + k * Threads >= pieces) continue;
    widen<T, N>(kept[k], factors, threadIdx.x + k * Threads, value);
    largest = magnitude_bits<N>(value, largest);
  }
  for (int64_t i = first_left; i < pieces; i += Threads) {
    widen<T, N>(load<T, N>(row, i), factors, i, value);
    largest = magnitude_bits<N>(value, largest);
  }
  const float magnitude = __uint_as_float(max(block_max(largest), __float_as_uint(kSmallest))), inverse = kLargest / magnitude;
  if (threadIdx.x == 0) scales[blockIdx.x] = magnitude / kLargest;
#pragma unroll
  for (int k = 0; k < Kept; ++k) {
    if (threadIdx.x + k * Threads >= pieces) continue;
    widen<T, N>(kept[k], factors, threadIdx.x + k * Threads, value);
    write_codes<N>(out, threadIdx.x + k * Threads, value, inverse);
  }
  for (int64_t i = first_left; i < pieces; i += Threads) {
    widen<T, N>(load<T, N>(row, i), factors, i, value);
    write_codes<N>(out, i, value, inverse);
  }
}

constexpr int kThreads = 256;
constexpr int kSide = 64;   // of the tile a block turns
constexpr int kPiece = 16;  // bytes a thread moves at a time
constexpr int kPad = 4;     // keeps columns of the tile out of one memory bank

__global__ void __launch_bounds__(kThreads) transpose_kernel(const uint8_t* from, int64_t rows, int64_t columns, uint8_t* to) {
  __shared__ uint8_t tile[kSide][kSide + kPad];
  const int64_t row = static_cast<int64_t>(blockIdx.y) * kSide, column = static_cast<int64_t>(blockIdx.x) * kSide;
  const int line = threadIdx.x / (kSide / kPiece), place = threadIdx.x % (kSide / kPiece) * kPiece;
  if (row + line < rows && column + place < columns) {
    const uint4 piece = *reinterpret_cast<const uint4*>(from + (row + line) * columns + column + place);
    auto* words = reinterpret_cast<unsigned*>(&tile[line][place]);
    words[0] = piece.x, words[1] = piece.y, words[2] = piece.z, words[3] = piece.w;
  }
  __syncthreads();
  if (column + line >= columns || row + place >= rows) return;
  Vector<uint8_t, kPiece> out;
  for (int i = 0; i < kPiece; ++i) out.item[i] = tile[place + i][line];
  store<uint8_t, kPiece>(to + (column + line) * rows + row + place, 0, out);
}

__global__ void __launch_bounds__(kThreads) transpose_any_kernel(const uint8_t* from, int64_t rows, int64_t columns, uint8_t* to) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < rows * columns) to[i % columns * rows + i / columns] = from[i];
}

}  // namespace

void encode_fp8_rows(Real dtype, const void* x, const float* factors, int64_t rows, int64_t width, void* codes, float* scales,
                     void* stream) {
  if (rows == 0) return;
  const bool wide = width % elements_per_access(dtype) == 0 && is_aligned(x) && (factors == nullptr || is_aligned(factors));
  dispatch(dtype, wide, [&](auto type, auto count) {
    using T = decltype(type);
    constexpr int N = decltype(count)::value;
    const auto launch = [&](auto kernel, int threads) {
      kernel<<<static_cast<unsigned>(rows), threads, 0, as_stream(stream)>>>(static_cast<const T*>(x), factors, width,
                                                                             static_cast<__nv_fp8_storage_t*>(codes), scales);
    };
    // Rows of up to 1024, 4096, 16384 16-bit numbers: enough threads to read them at once, few registers for many blocks side by side.
    if (width / N <= 128)
      launch(encode_kernel<T, N, 128, 1>, 128);
    else if (width / N <= 512)
      launch(encode_kernel<T, N, kMostThreads, 2>, kMostThreads);
    else
      launch(encode_kernel<T, N, kMostThreads, 8>, kMostThreads);
  });
  check_launch("encode_fp8_rows");
}

void transpose_bytes(const void* from, int64_t rows, int64_t columns, void* to, void* stream) {
  if (rows * columns == 0) return;
  const auto* source = static_cast<const uint8_t*>(from);
  auto* target = static_cast<uint8_t*>(to);
  if (rows % kPiece == 0 && columns % kPiece == 0 && is_aligned(from) && is_aligned(to)) {
    const dim3 grid(static_cast<unsigned>((columns + kSide - 1) / kSide), static_cast<unsigned>((rows + kSide - 1) / kSide));
    transpose_kernel<<<grid, kThreads, 0, as_stream(stream)>>>(source, rows, columns, target);
  } else {
    const auto blocks = static_cast<unsigned>((rows * columns + kThreads - 1) / kThreads);
    transpose_any_kernel<<<blocks, kThreads, 0, as_stream(stream)>>>(source, rows, columns, target);
  }
  check_launch("transpose_bytes");
}

bool has_fp8_products() {
  int device = 0, major = 0, minor = 0;
  const bool known = cudaGetDevice(&device) == cudaSuccess &&
                     cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
                     cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) == cudaSuccess;
  return known && 10 * major + minor >= 89;
}

}  // namespace graft::quant::cuda
