#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace graft {

/// A named, counter-based random stream: every number is a pure function of (seed, purpose, a, b) and its position, so there is
/// no state to save and resume is exact. `purpose` is a fixed word ("init", "shuffle", "dropout", "split"); a and b are
/// coordinates such as (epoch, index) or (step, micro-batch). Generator: Philox4x32-10 (Salmon et al. 2011).
class RandomStream {
 public:
  RandomStream(uint64_t seed, std::string_view purpose, uint64_t a = 0, uint64_t b = 0);

  uint32_t next_u32();
  uint64_t next_u64();
  /// Uniform in [0, 1) with 53 random bits.
  double uniform();
  /// Standard normal (Box–Muller on uniform()).
  double normal();
  /// Uniform in [0, bound), without modulo bias. bound ≥ 1.
  uint64_t below(uint64_t bound);

 private:
  void refill();
  uint32_t key_[2];
  uint32_t counter_[4];
  uint32_t block_[4] = {};
  int used_ = 4;
};

/// One 64-bit number from the same coordinates: seeds for generators that are not ours (LibTorch's).
uint64_t derive_seed(uint64_t seed, std::string_view purpose, uint64_t a = 0, uint64_t b = 0);

/// A permutation of 0 … size-1, a pure function of (seed, purpose, a).
std::vector<uint64_t> random_permutation(uint64_t size, uint64_t seed, std::string_view purpose, uint64_t a);

}  // namespace graft
