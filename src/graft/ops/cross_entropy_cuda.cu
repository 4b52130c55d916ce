#include <algorithm>
#include <cfloat>

#include "graft/ops/async_copy.cuh"
#include "graft/ops/device_types.cuh"

namespace graft::ops::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kWarps = kThreads / 32;
constexpr float kLog2E = 1.4426950408889634f;

// One block per row. Maximum and sum in one pass (Milakov & Gimelshein 2018, arXiv:1805.02867), the gradient in a second, which finds most
// of the row where the first has left it: a thread's first pieces (of 16 bytes) in its registers, the next in shared memory. Pieces beyond
// that are read again. Two blocks run on a multiprocessor, so that one reads while the other writes: measured faster than one block that
// keeps a whole row of 128 thousand.
constexpr int kInRegisters = 8;
constexpr int kBlocks = 2;  // on one multiprocessor
constexpr int kStages = 3;  // shared pieces arrive in this many groups; the sum begins with the first

/// 2^x to within 2 units in the last place; results below 2^-126 are zero.
__device__ inline float exp2_fast(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

/// Running maximum, Σ exp(x − maximum), and where the maximum first was (only followed when predictions are counted).
struct Softmax {
  float maximum, sum;
  int64_t place;
};

__device__ inline Softmax merged(const Softmax& a, const Softmax& b) {
  const bool first = a.maximum > b.maximum || (a.maximum == b.maximum && a.place < b.place);
  const float maximum = first ? a.maximum : b.maximum;
  return {maximum, a.sum * __expf(a.maximum - maximum) + b.sum * __expf(b.maximum - maximum), first ? a.place : b.place};
}

__device__ inline Softmax warp_merged(Softmax value) {
  for (int offset = 16; offset > 0; offset /= 2) {
    const Softmax other{__shfl_xor_sync(0xffffffffu, value.maximum, offset), __shfl_xor_sync(0xffffffffu, value.sum, offset),
                        __shfl_xor_sync(0xffffffffu, value.place, offset)};
    value = merged(value, other);
  }
  return value;
}

/// The whole block's, known to all of it.
__device__ inline Softmax block_merged(const Softmax& mine) {
  __shared__ Softmax partial[kWarps];
  const Softmax of_warp = warp_merged(mine);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = of_warp;
  __syncthreads();
  Softmax all = partial[0];
  for (int i = 1; i < kWarps; ++i) all = merged(all, partial[i]);
  return all;
}

template <bool Counts, typename T, int N>
__device__ inline void take(Softmax& mine, const Vector<T, N>& piece, int64_t index) {
  float highest = to_float(piece.item[0]);
  for (int j = 1; j < N; ++j) highest = fmaxf(highest, to_float(piece.item[j]));
  if (highest > mine.maximum) {
    mine.sum *= exp2_fast((mine.maximum - highest) * kLog2E);
    mine.maximum = highest;
    if (Counts) {
      for (int j = N - 1; j >= 0; --j)
        if (to_float(piece.item[j]) == highest) mine.place = index * N + j;
    }
  }
  const float shift = -mine.maximum * kLog2E;
  float sum = 0.0f;
  for (int j = 0; j < N; ++j) sum += exp2_fast(fmaf(to_float(piece.item[j]), kLog2E, shift));
  mine.sum += sum;
}

/// softmax − one-hot, over the logits.
template <typename T, int N>
__device__ inline void put_gradient(T* row, Vector<T, N> piece, int64_t index, float log_sum, int64_t target) {
  const float shift = -log_sum * kLog2E;
  for (int j = 0; j < N; ++j) {
    const float probability = exp2_fast(fmaf(to_float(piece.item[j]), kLog2E, shift));
    piece.item[j] = from_float<T>(index * N + j == target ? probability - 1.0f : probability);
  }
  store<T, N>(row, index, piece);
}

/// Keeps the compiler from remembering what it made of the pieces (unpacked, they would not fit into the registers).
template <typename Piece, int Count>
__device__ inline void forget(Piece (&pieces)[Count]) {
  constexpr int kWords = sizeof(Piece) / 4;
  if constexpr (kWords > 0) {
#pragma unroll
    for (int i = 0; i < Count; ++i)
#pragma unroll
      for (int word = 0; word < kWords; ++word) asm volatile("" : "+r"(reinterpret_cast<uint32_t(&)[kWords]>(pieces[i])[word]));
  }
}

/// `kept`: pieces per thread in shared memory.
template <bool Counts, typename T, int N>
__global__ void __launch_bounds__(kThreads, kBlocks)
    kernel(T* logits, const int64_t* targets, int64_t vocabulary, int kept, bool gradient, float* losses, unsigned long long* correct) {
  extern __shared__ uint4 shared[];
  T* row = logits + blockIdx.x * vocabulary;
  const int64_t target = targets[blockIdx.x], pieces = vocabulary / N;
  const auto index_of = [](int piece) { return static_cast<int64_t>(piece) * kThreads + threadIdx.x; };
  const auto in_shared = [&](int piece) -> uint4& { return shared[piece * kThreads + threadIdx.x]; };
  const int per_stage = (kept + kStages - 1) / kStages;
  const auto end_of_stage = [&](int stage) { return min(kept, (stage + 1) * per_stage); };

  for (int stage = 0; stage < kStages; ++stage) {
    for (int i = stage * per_stage; i < end_of_stage(stage); ++i) {
      const int64_t index = index_of(kInRegisters + i);
      fetch(&in_shared(i), row + (index < pieces ? index * N : 0), index < pieces);
    }
    close_stage();
  }
  Softmax mine{-FLT_MAX, 0.0f, vocabulary};
  Vector<T, N> held[kInRegisters];
#pragma unroll
  for (int i = 0; i < kInRegisters; ++i)
    if (index_of(i) < pieces) held[i] = load<T, N>(row, index_of(i));
#pragma unroll
  for (int i = 0; i < kInRegisters; ++i)
    if (index_of(i) < pieces) take<Counts>(mine, held[i], index_of(i));
  const auto take_stage = [&](int stage) {
    for (int i = stage * per_stage; i < end_of_stage(stage); ++i) {
      const int64_t index = index_of(kInRegisters + i);
      if (index < pieces) take<Counts>(mine, reinterpret_cast<const Vector<T, N>&>(in_shared(i)), index);
    }
  };
  wait_for_stages<2>();
  take_stage(0);
  wait_for_stages<1>();
  take_stage(1);
  wait_for_stages<0>();
  take_stage(2);
  const int first_again = kInRegisters + kept;
  for (int64_t index = index_of(first_again); index < pieces; index += kThreads) take<Counts>(mine, load<T, N>(row, index), index);

  const Softmax all = block_merged(mine);
  const float log_sum = all.maximum + __logf(all.sum);
  if (threadIdx.x == 0) {
    losses[blockIdx.x] = log_sum - to_float(row[target]);
    if (Counts && all.place == target) atomicAdd(correct, 1ull);
  }
  if (!gradient) return;
  forget(held);
  __syncthreads();  // the target's logit is read before it is written over
#pragma unroll
  for (int i = 0; i < kInRegisters; ++i)
    if (index_of(i) < pieces) put_gradient<T, N>(row, held[i], index_of(i), log_sum, target);
  for (int i = 0; i < kept; ++i) {
    const int64_t index = index_of(kInRegisters + i);
    if (index < pieces) put_gradient<T, N>(row, reinterpret_cast<const Vector<T, N>&>(in_shared(i)), index, log_sum, target);
  }
  for (int64_t index = index_of(first_again); index < pieces; index += kThreads)
    put_gradient<T, N>(row, load<T, N>(row, index), index, log_sum, target);
}

/// How many bytes of rows a block may keep in shared memory here.
int shared_memory() {
  int device = 0, bytes = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerMultiprocessor, device);
  return bytes / kBlocks - static_cast<int>(sizeof(Softmax)) * kWarps - 1024;  // 1 KiB of each block's is the system's
}

}  // namespace

void cross_entropy(Real dtype, void* logits, const int64_t* targets, int64_t rows, int64_t vocabulary, bool gradient, float* losses,
                   int64_t* correct, void* stream) {
  if (rows == 0) return;
  const bool wide = vocabulary % elements_per_access(dtype) == 0 && is_aligned(logits);
  const auto launch = [&](auto type, auto count, auto counts) {
    using T = decltype(type);
    constexpr int N = decltype(count)::value, kPiece = sizeof(T) * N;
    constexpr auto* run = kernel<decltype(counts)::value != 0, T, N>;
    int64_t kept = 0;
    if (kPiece == 16) {
      const int64_t per_thread = (vocabulary / N + kThreads - 1) / kThreads;
      kept = std::min<int64_t>(std::max<int64_t>(per_thread - kInRegisters, 0), shared_memory() / (kThreads * kPiece));
    }
    const auto bytes = static_cast<int>(kept) * kThreads * kPiece;
    cudaFuncSetAttribute(run, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    run<<<static_cast<unsigned>(rows), kThreads, bytes, as_stream(stream)>>>(static_cast<T*>(logits), targets, vocabulary,
                                                                             static_cast<int>(kept), gradient, losses,
                                                                             reinterpret_cast<unsigned long long*>(correct));
  };
  dispatch(dtype, wide, [&](auto type, auto count) {
    if (correct != nullptr)
      launch(type, count, Width<1>{});
    else
      launch(type, count, Width<0>{});
  });
  check_launch("cross_entropy");
}

}  // namespace graft::ops::cuda
