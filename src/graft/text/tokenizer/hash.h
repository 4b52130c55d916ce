#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace graft::text::tok {

/// Mixes two words: the folded 128-bit product.
inline uint64_t mix(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

/// A fast hash of short strings for tables inside the process (never written anywhere).
inline uint64_t hash_bytes(std::string_view bytes) {
  constexpr uint64_t kA = 0x9E3779B97F4A7C15, kB = 0xD6E8FEB86659FD93;
  const char* at = bytes.data();
  size_t left = bytes.size();
  uint64_t state = kA ^ left;
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    state = mix(state ^ word, kB);
  }
  uint64_t word = 0;
  std::memcpy(&word, at, left);
  return mix(state ^ word, kA);
}

}  // namespace graft::text::tok
