#include "graft/ops/dropout_cpu.h"

#include <algorithm>

#include "graft/base/cpu_clones.h"
#include "graft/ops/parallel.h"

namespace graft::ops::cpu {
namespace {

constexpr int64_t kBlock = 2048;     // entries of one unit of work: a multiple of 8
constexpr int64_t kGrain = 1 << 14;  // entries worth another thread

/// 1 for entries first … first + kBlock − 1 that are kept, else 0. `first` is a multiple of 8.
GRAFT_CLONES void keep_bits(const DropoutRule& rule, uint64_t first, uint16_t* __restrict bits) {
  constexpr int kCounters = kBlock / 8;
  for (int i = 0; i < kCounters; ++i) {
    const RandomWords numbers = rule.numbers(first / 8 + static_cast<uint64_t>(i), rule.round);
    for (int j = 0; j < 8; ++j) bits[8 * i + j] = rule.keeps(numbers, j) ? 1 : 0;
  }
}

template <typename Bits>
void drop_range(const Bits* input, int64_t begin, int64_t end, const DropoutRule& rule, Bits* output) {
  uint16_t bits[kBlock];
  for (int64_t first = begin; first < end; first += kBlock) {
    keep_bits(rule, static_cast<uint64_t>(first), bits);
    const int64_t count = std::min(kBlock, end - first);
    for (int64_t i = 0; i < count; ++i) output[first + i] = bits[i] != 0 ? input[first + i] : Bits{0};
  }
}

template <typename Bits>
void drop_all(const void* input, int64_t count, const DropoutRule& rule, void* output) {
  parallel_for((count + kBlock - 1) / kBlock, kGrain / kBlock, [&](int64_t begin, int64_t end) {
    drop_range(static_cast<const Bits*>(input), begin * kBlock, std::min(end * kBlock, count), rule, static_cast<Bits*>(output));
  });
}

}  // namespace

void drop(const void* input, int64_t size, int64_t count, const DropoutRule& rule, void* output) {
  if (size == 2) return drop_all<uint16_t>(input, count, rule, output);
  if (size == 4) return drop_all<uint32_t>(input, count, rule, output);
  drop_all<uint64_t>(input, count, rule, output);
}

}  // namespace graft::ops::cpu
