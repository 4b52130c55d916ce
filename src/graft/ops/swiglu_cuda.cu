#include "graft/ops/device_types.cuh"

namespace graft::ops::cuda {
namespace {

constexpr int kThreads = 256;

__device__ inline float sigmoid(float value) { return 1.0f / (1.0f + __expf(-value)); }

template <typename T, int N>
__global__ void __launch_bounds__(kThreads) forward_kernel(const T* gate, const T* up, int64_t vectors, T* output) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= vectors) return;
  const auto g = load<T, N>(gate, i), u = load<T, N>(up, i);
  Vector<T, N> y;
  for (int j = 0; j < N; ++j) {
    const float z = to_float(g.item[j]);
    y.item[j] = from_float<T>(rounded<T>(z * sigmoid(z)) * to_float(u.item[j]));
  }
  store<T, N>(output, i, y);
}

template <typename T, int N>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(const T* gradient, const T* gate, const T* up, int64_t vectors, T* gate_gradient, T* up_gradient, T* output) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= vectors) return;
  const auto d = load<T, N>(gradient, i), g = load<T, N>(gate, i), u = load<T, N>(up, i);
  Vector<T, N> dg, du, y;
  for (int j = 0; j < N; ++j) {
    const float z = to_float(g.item[j]), slope = sigmoid(z), silu = rounded<T>(z * slope);
    const float incoming = to_float(d.item[j]), upper = to_float(u.item[j]);
    du.item[j] = from_float<T>(incoming * silu);
    dg.item[j] = from_float<T>(incoming * upper * slope * (1.0f + z * (1.0f - slope)));
    y.item[j] = from_float<T>(silu * upper);
  }
  store<T, N>(gate_gradient, i, dg);
  store<T, N>(up_gradient, i, du);
  if (output != nullptr) store<T, N>(output, i, y);
}

unsigned blocks(int64_t threads) { return static_cast<unsigned>((threads + kThreads - 1) / kThreads); }

}  // namespace

void swiglu_forward(Real dtype, const void* gate, const void* up, int64_t count, void* output, void* stream) {
  if (count == 0) return;
  const bool wide = count % elements_per_access(dtype) == 0 && is_aligned(gate) && is_aligned(up) && is_aligned(output);
  dispatch(dtype, wide, [&](auto type, auto width) {
    using T = decltype(type);
    constexpr int N = decltype(width)::value;
    forward_kernel<T, N><<<blocks(count / N), kThreads, 0, as_stream(stream)>>>(static_cast<const T*>(gate), static_cast<const T*>(up),
                                                                                count / N, static_cast<T*>(output));
  });
  check_launch("swiglu_forward");
}

void swiglu_backward(Real dtype, const void* gradient, const void* gate, const void* up, int64_t count, void* gate_gradient,
                     void* up_gradient, void* output, void* stream) {
  if (count == 0) return;
  const bool wide = count % elements_per_access(dtype) == 0 && is_aligned(gradient) && is_aligned(gate) && is_aligned(up) &&
                    is_aligned(gate_gradient) && is_aligned(up_gradient) && is_aligned(output);
  dispatch(dtype, wide, [&](auto type, auto width) {
    using T = decltype(type);
    constexpr int N = decltype(width)::value;
    backward_kernel<T, N><<<blocks(count / N), kThreads, 0, as_stream(stream)>>>(
        static_cast<const T*>(gradient), static_cast<const T*>(gate), static_cast<const T*>(up), count / N, static_cast<T*>(gate_gradient),
        static_cast<T*>(up_gradient), static_cast<T*>(output));
  });
  check_launch("swiglu_backward");
}

}  // namespace graft::ops::cuda
