#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "graft/ops/dropout_rule.h"

namespace graft::ops {

/// Which time a place drops: another round, other entries.
struct DropoutRound {
  uint64_t number = 0;
  /// int64 [1] on the GPU that drops, or undefined. Defined: its value at the time a kernel runs counts, not `number`. A CUDA graph, which
  /// would replay a number, reads the next round's here.
  at::Tensor on_device;
};

/// Which entries of a tensor are dropped, as a function instead of a mask: nothing is stored, and backward drops the same entries again.
/// Entry i (row-major) is kept when the 16-bit number i % 8 of philox(seed, i / 8, round) is below keep·2^16; the low half of a word comes
/// first. The same entries on every device.
class Dropout {
 public:
  Dropout() = default;  ///< keeps everything
  /// `seed`: of the place. `keep`: probability in (0, 1], taken to the nearest multiple of 2^-16 but at least one of them.
  Dropout(uint64_t seed, double keep, DropoutRound round = {});

  bool drops() const { return threshold_ < kAll; }
  double keep() const { return static_cast<double>(threshold_) / kAll; }
  /// For kernels. `device`: where they run; the round is looked up here unless it lies there.
  DropoutRule rule(at::Device device) const;

 private:
  static constexpr uint32_t kAll = 1 << 16;
  uint64_t seed_ = 0;
  uint32_t threshold_ = kAll;
  DropoutRound round_;
};

/// x where it is kept and 0 elsewhere, not scaled by 1 / keep; fresh and contiguous, or x itself when nothing is dropped. Any dtype of 2, 4
/// or 8 bytes. No gradient.
at::Tensor drop(const at::Tensor& x, const Dropout& dropout);

}  // namespace graft::ops
