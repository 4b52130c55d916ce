#pragma once

#include <cstdint>

namespace graft::ops {

/// Four random words.
struct RandomWords {
  uint32_t word[4];
};

/// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): the counter-th block of the stream `key`. A pure
/// function, the same on every device: whoever needs a number again computes it again instead of keeping it.
constexpr RandomWords philox(uint64_t key, uint64_t counter, uint64_t counter_high = 0) {
  uint32_t a = static_cast<uint32_t>(counter), b = static_cast<uint32_t>(counter >> 32);
  uint32_t c = static_cast<uint32_t>(counter_high), d = static_cast<uint32_t>(counter_high >> 32);
  uint32_t first_key = static_cast<uint32_t>(key), second_key = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t first = uint64_t{0xD2511F53} * a, second = uint64_t{0xCD9E8D57} * c;
    a = static_cast<uint32_t>(second >> 32) ^ b ^ first_key;
    b = static_cast<uint32_t>(second);
    c = static_cast<uint32_t>(first >> 32) ^ d ^ second_key;
    d = static_cast<uint32_t>(first);
    first_key += 0x9E3779B9;
    second_key += 0xBB67AE85;
  }
  return {{a, b, c, d}};
}

}  // namespace graft::ops
