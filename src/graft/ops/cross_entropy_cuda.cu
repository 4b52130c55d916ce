#include <cfloat>

#include "graft/ops/device_types.cuh"

namespace graft::ops::cuda {
namespace {

constexpr int kThreads = 512;

/// Running maximum, Σ exp(x − maximum), and where the maximum first was.
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

// One block per row: one pass for maximum and sum (Milakov & Gimelshein 2018, arXiv:1805.02867), a second, mostly out of the second-level
// cache, that writes the gradient over the logits.
template <typename T, int N>
__global__ void __launch_bounds__(kThreads)
    kernel(T* logits, const int64_t* targets, int64_t vocabulary, bool gradient, float* losses, unsigned long long* correct) {
  __shared__ Softmax partial[kThreads / 32];
  T* row = logits + blockIdx.x * vocabulary;
  const int64_t target = targets[blockIdx.x], vectors = vocabulary / N;
  Softmax mine{-FLT_MAX, 0.0f, vocabulary};
  for (int64_t i = threadIdx.x; i < vectors; i += kThreads) {
    const auto value = load<T, N>(row, i);
    float highest = -FLT_MAX;
    int place = 0;
    for (int j = 0; j < N; ++j) {
      if (to_float(value.item[j]) > highest) {
        highest = to_float(value.item[j]);
        place = j;
      }
    }
    if (highest > mine.maximum) {
      mine.sum *= __expf(mine.maximum - highest);
      mine.maximum = highest;
      mine.place = i * N + place;
    }
    for (int j = 0; j < N; ++j) mine.sum += __expf(to_float(value.item[j]) - mine.maximum);
  }
  mine = warp_merged(mine);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = mine;
  __syncthreads();
  Softmax all = partial[0];
  for (int i = 1; i < kThreads / 32; ++i) all = merged(all, partial[i]);
  const float log_sum = all.maximum + __logf(all.sum);
  if (threadIdx.x == 0) {
    losses[blockIdx.x] = log_sum - to_float(row[target]);
    if (correct != nullptr && all.place == target) atomicAdd(correct, 1ull);
  }
  if (!gradient) return;
  __syncthreads();  // the target's logit is read before it is written over
  for (int64_t i = threadIdx.x; i < vectors; i += kThreads) {
    auto value = load<T, N>(row, i);
    for (int j = 0; j < N; ++j) {
      const float probability = __expf(to_float(value.item[j]) - log_sum);
      value.item[j] = from_float<T>(i * N + j == target ? probability - 1.0f : probability);
    }
    store<T, N>(row, i, value);
  }
}

}  // namespace

void cross_entropy(Real dtype, void* logits, const int64_t* targets, int64_t rows, int64_t vocabulary, bool gradient, float* losses,
                   int64_t* correct, void* stream) {
  if (rows == 0) return;
  const bool wide = vocabulary % elements_per_access(dtype) == 0 && is_aligned(logits);
  dispatch(dtype, wide, [&](auto type, auto count) {
    using T = decltype(type);
    kernel<T, decltype(count)::value><<<static_cast<unsigned>(rows), kThreads, 0, as_stream(stream)>>>(
        static_cast<T*>(logits), targets, vocabulary, gradient, losses, reinterpret_cast<unsigned long long*>(correct));
  });
  check_launch("cross_entropy");
}

}  // namespace graft::ops::cuda
