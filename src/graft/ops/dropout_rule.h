#pragma once

#include <cstdint>

#include "graft/ops/philox.h"

namespace graft::ops {

/// ops::Dropout in plain numbers, as kernels take it.
struct DropoutRule {
  uint64_t seed = 0;
  uint32_t threshold = 0;
  uint64_t round = 0;
  const uint64_t* round_on_device = nullptr;  ///< when not null: where the round is read

  /// The numbers of entries 8·group … 8·group + 7; `its_round`: what round_now() gave.
  constexpr RandomWords numbers(uint64_t group, uint64_t its_round) const { return philox(seed, group, its_round); }
  constexpr uint64_t round_now() const { return round_on_device != nullptr ? *round_on_device : round; }
  /// Whether entry `item` (0 … 7) of a group is kept.
  constexpr bool keeps(const RandomWords& numbers, int item) const {
    return (item % 2 == 0 ? numbers.word[item / 2] & 0xffffu : numbers.word[item / 2] >> 16) < threshold;
  }
};

}  // namespace graft::ops
