#include "graft/ops/device_types.cuh"

namespace graft::ops::cuda {
namespace {

constexpr int kThreads = 256;

// One thread turns N pairs (x[i], x[i + size / 2]). Products are rounded before the sum, as transformers does.
template <typename T, int N>
__global__ void __launch_bounds__(kThreads) kernel(const T* input, const T* cos, const T* sin, int64_t length, int64_t heads, int64_t half,
                                                   bool table_per_row, float sign, int64_t threads, int64_t output_stride, T* output) {
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (thread >= threads) return;
  const int64_t per_head = half / N;
  const int64_t part = thread % per_head, head = thread / per_head;  // head counts over rows, positions and heads
  const int64_t token = head / heads;
  const int64_t entry = (table_per_row ? token : token % length) * per_head + part;
  const auto c = load<T, N>(cos, entry), s = load<T, N>(sin, entry);
  const int64_t first = head * 2 * per_head + part, second = first + per_head;
  const auto a = load<T, N>(input, first), b = load<T, N>(input, second);
  Vector<T, N> x, y;
  for (int j = 0; j < N; ++j) {
    const float cosine = to_float(c.item[j]), sine = sign * to_float(s.item[j]);
    x.item[j] = from_float<T>(rounded<T>(to_float(a.item[j]) * cosine) - rounded<T>(to_float(b.item[j]) * sine));
    y.item[j] = from_float<T>(rounded<T>(to_float(b.item[j]) * cosine) + rounded<T>(to_float(a.item[j]) * sine));
  }
  T* token_output = output + token * output_stride;
  const int64_t place = (head % heads) * 2 * per_head + part;
  store<T, N>(token_output, place, x);
  store<T, N>(token_output, place + per_head, y);
}

template <typename T, int N>
__global__ void __launch_bounds__(kThreads) place_kernel(const T* input, int64_t pieces, int64_t threads, int64_t output_stride, T* output) {
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (thread >= threads) return;
  const int64_t row = thread / pieces;
  store<T, N>(output + row * output_stride, thread - row * pieces, load<T, N>(input, thread));
}

unsigned blocks_for(int64_t threads) { return static_cast<unsigned>((threads + kThreads - 1) / kThreads); }

}  // namespace

void rotary(Real dtype, const void* input, const void* cos, const void* sin, int64_t rows, int64_t length, int64_t heads, int64_t size,
            int64_t table_rows, float sign, void* output, int64_t output_stride, void* stream) {
  const int64_t half = size / 2, unit = elements_per_access(dtype);
  const bool wide = half % unit == 0 && output_stride % unit == 0 && is_aligned(input) && is_aligned(cos) && is_aligned(sin) &&
                    is_aligned(output);
  dispatch(dtype, wide, [&](auto type, auto count) {
    using T = decltype(type);
    constexpr int N = decltype(count)::value;
    const int64_t threads = rows * length * heads * half / N;
    if (threads == 0) return;
    kernel<T, N><<<blocks_for(threads), kThreads, 0, as_stream(stream)>>>(
        static_cast<const T*>(input), static_cast<const T*>(cos), static_cast<const T*>(sin), length, heads, half, table_rows > 1, sign,
        threads, output_stride, static_cast<T*>(output));
  });
  check_launch("rotary");
}

void place_columns(Real dtype, const void* input, int64_t rows, int64_t width, void* output, int64_t output_stride, void* stream) {
  const int64_t unit = elements_per_access(dtype);
  const bool wide = width % unit == 0 && output_stride % unit == 0 && is_aligned(input) && is_aligned(output);
  dispatch(dtype, wide, [&](auto type, auto count) {
    using T = decltype(type);
    constexpr int N = decltype(count)::value;
    const int64_t threads = rows * width / N;
    if (threads == 0) return;
    place_kernel<T, N><<<blocks_for(threads), kThreads, 0, as_stream(stream)>>>(static_cast<const T*>(input), width / N, threads,
                                                                                output_stride, static_cast<T*>(output));
  });
  check_launch("place_columns");
}

}  // namespace graft::ops::cuda
