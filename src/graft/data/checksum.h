#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace graft::data {

/// Finds damage (bit flips, holes, truncation) in a cache file at memory speed; no protection against intent. Input sizes are
/// multiples of 8 bytes.
class Checksum {
 public:
  void add(const void* bytes, size_t size) {
    const char* from = static_cast<const char*>(bytes);
    for (size_t i = 0; i + 8 <= size; i += 8) {
      uint64_t word;
      std::memcpy(&word, from + i, 8);
      state_ = (state_ ^ word) * 0x9E3779B97F4A7C15ULL;  // odd: a bijection, so that one changed word always changes the sum
      state_ ^= state_ >> 29;
    }
  }
  uint64_t value() const { return state_; }

 private:
  uint64_t state_ = 0x243F6A8885A308D3ULL;
};

}  // namespace graft::data
