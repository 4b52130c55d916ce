#include "graft/ops/device_types.cuh"

namespace graft::ops::cuda {
namespace {

constexpr int kThreads = 256;

constexpr int kKept = 4;  // vectors of a row that each thread holds in registers; what is beyond is read a second time

// One block per row.
template <typename T, int N>
__global__ void __launch_bounds__(kThreads) forward_kernel(const T* input, const T* addend, const T* weight, float epsilon, int64_t width,
                                                           T* sum, T* output, float* reciprocal_root) {
  const int64_t row = blockIdx.x, vectors = width / N;
  const T* x = input + row * width;
  const T* d = addend == nullptr ? nullptr : addend + row * width;
  T* s = sum == nullptr ? nullptr : sum + row * width;
  const auto summed = [&](int64_t i) {
    auto value = load<T, N>(x, i);
    if (d != nullptr) {
      const auto more = load<T, N>(d, i);
      for (int j = 0; j < N; ++j) value.item[j] = from_float<T>(to_float(value.item[j]) + to_float(more.item[j]));
    }
    return value;
  };
  float squares = 0;
  const auto take = [&](int64_t i, const Vector<T, N>& value) {
    if (s != nullptr) store<T, N>(s, i, value);
    for (int j = 0; j < N; ++j) squares += to_float(value.item[j]) * to_float(value.item[j]);
  };
  Vector<T, N> kept[kKept];
#pragma unroll
  for (int k = 0; k < kKept; ++k) {
    const int64_t i = threadIdx.x + int64_t{k} * kThreads;
    if (i >= vectors) break;
    kept[k] = summed(i);
    take(i, kept[k]);
  }
  for (int64_t i = threadIdx.x + int64_t{kKept} * kThreads; i < vectors; i += kThreads) take(i, summed(i));
  const float root = rsqrtf(block_sum(squares) / static_cast<float>(width) + epsilon);
  if (threadIdx.x == 0) reciprocal_root[row] = root;
  const auto give = [&](int64_t i, Vector<T, N> value) {
    const auto w = load<T, N>(weight, i);
    for (int j = 0; j < N; ++j) value.item[j] = from_float<T>(rounded<T>(to_float(value.item[j]) * root) * to_float(w.item[j]));
    store<T, N>(output + row * width, i, value);
  };
#pragma unroll
  for (int k = 0; k < kKept; ++k) {
    const int64_t i = threadIdx.x + int64_t{k} * kThreads;
    if (i >= vectors) break;
    give(i, kept[k]);
  }
  for (int64_t i = threadIdx.x + int64_t{kKept} * kThreads; i < vectors; i += kThreads) give(i, summed(i));
}

template <typename T, int N>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(const T* gradient, const T* input, const T* weight, const float* reciprocal_root, const T* addend, int64_t width,
                    T* input_gradient) {
  const int64_t row = blockIdx.x, vectors = width / N;
  const T* g = gradient + row * width;
  const T* x = input + row * width;
  const float root = reciprocal_root[row];
  float projection = 0;
  for (int64_t i = threadIdx.x; i < vectors; i += kThreads) {
    const auto gv = load<T, N>(g, i), xv = load<T, N>(x, i), wv = load<T, N>(weight, i);
    for (int j = 0; j < N; ++j) projection += to_float(gv.item[j]) * to_float(wv.item[j]) * to_float(xv.item[j]);
  }
  projection = block_sum(projection) * root / static_cast<float>(width);  // mean(w g n)
  for (int64_t i = threadIdx.x; i < vectors; i += kThreads) {
    const auto gv = load<T, N>(g, i), xv = load<T, N>(x, i), wv = load<T, N>(weight, i);
    Vector<T, N> more{}, result;
    if (addend != nullptr) more = load<T, N>(addend + row * width, i);
    for (int j = 0; j < N; ++j) {
      float value = root * (to_float(gv.item[j]) * to_float(wv.item[j]) - to_float(xv.item[j]) * root * projection);
      if (addend != nullptr) value = rounded<T>(value) + to_float(more.item[j]);
      result.item[j] = from_float<T>(value);
    }
    store<T, N>(input_gradient + row * width, i, result);
  }
}

}  // namespace

void rms_norm_forward(Real dtype, const void* input, const void* addend, const void* weight, float epsilon, int64_t rows, int64_t width,
                      void* sum, void* output, float* reciprocal_root, void* stream) {
  if (rows == 0) return;
  const bool wide = width % elements_per_access(dtype) == 0 && is_aligned(input) && is_aligned(addend) && is_aligned(weight) &&
                    is_aligned(sum) && is_aligned(output);
  dispatch(dtype, wide, [&](auto type, auto count) {
    using T = decltype(type);
    forward_kernel<T, decltype(count)::value><<<static_cast<unsigned>(rows), kThreads, 0, as_stream(stream)>>>(
        static_cast<const T*>(input), static_cast<const T*>(addend), static_cast<const T*>(weight), epsilon, width, static_cast<T*>(sum),
        static_cast<T*>(output), reciprocal_root);
  });
  check_launch("rms_norm_forward");
}

void rms_norm_backward(Real dtype, const void* gradient, const void* input, const void* weight, const float* reciprocal_root,
                       const void* addend, int64_t rows, int64_t width, void* input_gradient, void* stream) {
  if (rows == 0) return;
  const bool wide = width % elements_per_access(dtype) == 0 && is_aligned(gradient) && is_aligned(input) && is_aligned(weight) &&
                    is_aligned(addend) && is_aligned(input_gradient);
  dispatch(dtype, wide, [&](auto type, auto count) {
    using T = decltype(type);
    backward_kernel<T, decltype(count)::value><<<static_cast<unsigned>(rows), kThreads, 0, as_stream(stream)>>>(
        static_cast<const T*>(gradient), static_cast<const T*>(input), static_cast<const T*>(weight), reciprocal_root,
        static_cast<const T*>(addend), width, static_cast<T*>(input_gradient));
  });
  check_launch("rms_norm_backward");
}

}  // namespace graft::ops::cuda
