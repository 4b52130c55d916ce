#pragma once

#include <cstdint>
#include <vector>

#include "graft/data/dataset.h"

namespace graft::data {

struct BatchPlanOptions {
  uint64_t seed = 42;
  bool shuffle = true;
  enum class Packing { kIsolated, kNone } packing = Packing::kIsolated;
  int64_t max_length = 2048;
  int64_t micro_sequences = 1;     ///< rows of a micro-batch
  int64_t sequences_per_step = 0;  ///< rows of an optimizer step; or
  int64_t tokens_per_step = 0;     ///< tokens of an optimizer step: rows are added while the sum stays ≤ this (at least one row)
  int32_t pad_id = 0;
};

/// Which rows every optimizer step trains on: a pure function of (dataset, options, seed, epoch), computed per epoch on demand, so
/// any step can be asked for directly and resuming costs nothing. Packing is best fit within the epoch's order: rows hold whole
/// samples up to max_length. The last, short step of an epoch is kept (its loss is normalised by its own tokens).
class BatchPlan {
 public:
  BatchPlan(const Dataset& dataset, std::vector<int64_t> indices, BatchPlanOptions options);

  int64_t steps_in_epoch(int64_t epoch) const;
  /// Optimizer steps of `epochs` epochs (may be fractional: 1.5).
  int64_t steps_for_epochs(double epochs) const;
  /// First step count whose cumulative tokens reach `tokens`.
  int64_t steps_for_tokens(int64_t tokens) const;
  /// Micro-batches of optimizer step `step` (1-based), epochs running on without end.
  StepBatches step(int64_t step) const;
  /// Micro-batches over all rows once, in file order: evaluation.
  std::vector<Batch> all_batches() const;

 private:
  struct Epoch;
  const Epoch& epoch(int64_t number) const;
  const Dataset* dataset_;
  std::vector<int64_t> indices_;
  BatchPlanOptions options_;
  mutable std::vector<std::shared_ptr<const Epoch>> epochs_;
};

}  // namespace graft::data
