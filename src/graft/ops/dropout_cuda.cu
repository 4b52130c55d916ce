#include "graft/ops/device_types.cuh"

namespace graft::ops::cuda {
namespace {

constexpr int kThreads = 256;

/// Eight entries a thread: one call of the generator. `Wide`: moved as one piece.
template <typename Bits, bool Wide>
__global__ void __launch_bounds__(kThreads) drop_kernel(const Bits* input, int64_t count, DropoutRule rule, Bits* output) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (8 * i >= count) return;
  const RandomWords random = rule.numbers(static_cast<uint64_t>(i), rule.round_now());
  Vector<Bits, 8> x;
  if constexpr (Wide)
    x = load<Bits, 8>(input, i);
  else
    for (int j = 0; j < 8; ++j) x.item[j] = 8 * i + j < count ? input[8 * i + j] : Bits{0};
#pragma unroll
  for (int j = 0; j < 8; ++j)
    if (!rule.keeps(random, j)) x.item[j] = Bits{0};
  if constexpr (Wide)
    store<Bits, 8>(output, i, x);
  else
    for (int j = 0; j < 8; ++j)
      if (8 * i + j < count) output[8 * i + j] = x.item[j];
}

template <typename Bits>
void launch(const void* input, int64_t count, const DropoutRule& rule, void* output, void* stream) {
  const bool wide = count % 8 == 0 && reinterpret_cast<uintptr_t>(input) % sizeof(Vector<Bits, 8>) == 0 &&
                    reinterpret_cast<uintptr_t>(output) % sizeof(Vector<Bits, 8>) == 0;
  const int64_t blocks = (count + 8 * kThreads - 1) / (8 * kThreads);
  const auto kernel = wide ? drop_kernel<Bits, true> : drop_kernel<Bits, false>;
  kernel<<<static_cast<unsigned>(blocks), kThreads, 0, as_stream(stream)>>>(static_cast<const Bits*>(input), count, rule,
                                                                            static_cast<Bits*>(output));
}

}  // namespace

void drop(const void* input, int64_t size, int64_t count, const DropoutRule& rule, void* output, void* stream) {
  if (count == 0) return;
  if (size == 2)
    launch<uint16_t>(input, count, rule, output, stream);
  else
    launch<uint32_t>(input, count, rule, output, stream);
  check_launch("drop");
}

}  // namespace graft::ops::cuda
