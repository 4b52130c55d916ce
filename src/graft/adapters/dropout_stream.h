#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "graft/ops/dropout.h"

namespace graft {

/// Where training stands, as far as dropout is concerned: a mask is a pure function of (seed, step, micro, module path), so a resumed or
/// recomputed forward sees the masks it saw before. So does a second call of a module at one position: two passes that are to differ (as
/// SimCSE's pairs do) need positions, or micro-batches, of their own.
struct DropoutPosition {
  /// Unset: nobody called set_dropout_position(); then the adapter's own seed is used and `step` counts masks, so that masks differ.
  std::optional<uint64_t> seed;
  uint64_t step = 0;   ///< optimizer step
  uint64_t micro = 0;  ///< micro-batch within the step (counting ranks)
};

/// Sets the position for the whole process. Call it before each micro-batch's forward.
void set_dropout_position(uint64_t seed, uint64_t step, uint64_t micro);
/// Back to counting.
void clear_dropout_position();
/// Puts the process's position back, when destroyed, as it was when this was made: for a loop that sets it at each micro-batch.
class DropoutPositionKeeper {
 public:
  DropoutPositionKeeper();
  ~DropoutPositionKeeper();
  DropoutPositionKeeper(const DropoutPositionKeeper&) = delete;
  DropoutPositionKeeper& operator=(const DropoutPositionKeeper&) = delete;

 private:
  DropoutPosition kept_;
};

/// What the next mask on this thread is drawn from.
DropoutPosition current_dropout_position();

/// While it lives, masks on this thread are drawn from `position` (and count from there when it has no seed): for running a forward again.
class DropoutPositionGuard {
 public:
  explicit DropoutPositionGuard(DropoutPosition position);
  ~DropoutPositionGuard();
  DropoutPositionGuard(const DropoutPositionGuard&) = delete;
  DropoutPositionGuard& operator=(const DropoutPositionGuard&) = delete;

 private:
  std::optional<DropoutPosition> outer_;
};

/// ops::DropoutRound's number at a position with a seed.
uint64_t dropout_round(const DropoutPosition& position);

/// While it lives, every module takes its round from `round` (int64 [1] on the GPU) when its kernels run: what is recorded as a CUDA graph
/// drops by the number that was last written there (dropout_round). One at a time, for the whole process.
class DropoutRoundGuard {
 public:
  explicit DropoutRoundGuard(at::Tensor round);
  ~DropoutRoundGuard();
  DropoutRoundGuard(const DropoutRoundGuard&) = delete;
  DropoutRoundGuard& operator=(const DropoutRoundGuard&) = delete;
};

namespace detail {

/// The number that stands for a module in the stream: the same in every process.
uint64_t dropout_site(const std::string& path);

/// What a module drops next. Advances the count when the position has no seed.
ops::Dropout next_dropout(double keep, uint64_t adapter_seed, uint64_t site);

/// Tells ops::recompute about the stream (once), so that a recomputed block sees the same masks.
void register_dropout_recompute();

}  // namespace detail
}  // namespace graft
