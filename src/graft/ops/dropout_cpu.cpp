#include "graft/ops/dropout_cpu.h"

#include <algorithm>

#include "graft/base/cpu_clones.h"
#include "graft/ops/parallel.h"
#include "graft/ops/philox.h"

namespace graft::ops::cpu {
namespace {

constexpr int64_t kBlock = 2048;     // entries of one unit of work: a multiple of 8
constexpr int64_t kGrain = 1 << 14;  // entries worth another thread

/// All ones for entries first … first + kBlock − 1 that are kept, else 0. `first` is a multiple of 8.
GRAFT_CLONES void keep_bits(uint64_t seed, uint32_t threshold, uint64_t first, uint16_t* __restrict bits) {
  constexpr int kCounters = kBlock / 8;
  for (int i = 0; i < kCounters; ++i) {
    const RandomWords random = philox(seed, first / 8 + static_cast<uint64_t>(i));
    for (int j = 0; j < 4; ++j) {
      bits[8 * i + 2 * j] = (random.word[j] & 0xffffu) < threshold ? 0xffff : 0;
      bits[8 * i + 2 * j + 1] = (random.word[j] >> 16) < threshold ? 0xffff : 0;
    }
  }
}

template <typename Bits>
void drop_range(const Bits* input, int64_t begin, int64_t end, uint64_t seed, uint32_t threshold, Bits* output) {
  uint16_t bits[kBlock];
  for (int64_t first = begin; first < end; first += kBlock) {
    keep_bits(seed, threshold, static_cast<uint64_t>(first), bits);
    const int64_t count = std::min(kBlock, end - first);
    for (int64_t i = 0; i < count; ++i) output[first + i] = bits[i] != 0 ? input[first + i] : Bits{0};
  }
}

template <typename Bits>
void drop_all(const void* input, int64_t count, uint64_t seed, uint32_t threshold, void* output) {
  parallel_for((count + kBlock - 1) / kBlock, kGrain / kBlock, [&](int64_t begin, int64_t end) {
    drop_range(static_cast<const Bits*>(input), begin * kBlock, std::min(end * kBlock, count), seed, threshold, static_cast<Bits*>(output));
  });
}

}  // namespace

void drop(const void* input, int64_t size, int64_t count, uint64_t seed, uint32_t threshold, void* output) {
  if (size == 2) return drop_all<uint16_t>(input, count, seed, threshold, output);
  if (size == 4) return drop_all<uint32_t>(input, count, seed, threshold, output);
  drop_all<uint64_t>(input, count, seed, threshold, output);
}

}  // namespace graft::ops::cpu
