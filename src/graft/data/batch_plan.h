#pragma once

#include <cstdint>
#include <memory>
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

/// One epoch in numbers.
struct EpochSummary {
  int64_t samples = 0, rows = 0, steps = 0;
  int64_t tokens = 0;
  double packing_efficiency = 0;  ///< tokens / (rows * max_length): 1 = no room wasted
};

/// Which rows every optimizer step trains on: a pure function of (dataset, options, seed, epoch), computed per epoch on demand, so
/// any step can be asked for directly and resuming costs nothing. Packing is best fit within the epoch's order: rows hold whole
/// samples up to max_length. With shuffle off it keeps to the file's order as far as the last 64 rows that are still open.
/// The last, short step of an epoch is kept (its loss is normalised by its own tokens).
/// A source of weight w is an endless chain of (shuffled) passes over its samples, of which epoch e takes the stretch from e*w to
/// (e+1)*w passes: 0.5 shows every sample once in two epochs. Thread-safe; the dataset must outlive the plan.
class BatchPlan {
 public:
  /// indices: the samples this plan draws from (Dataset::split), each once. DataError when empty or when a sample is longer than
  /// max_length.
  BatchPlan(const Dataset& dataset, std::vector<int64_t> indices, BatchPlanOptions options);
  ~BatchPlan();
  BatchPlan(BatchPlan&&) noexcept;
  BatchPlan& operator=(BatchPlan&&) noexcept;

  int64_t steps_in_epoch(int64_t epoch) const;
  /// Optimizer steps of `epochs` epochs (may be fractional: 1.5; rounded up, at least 1).
  int64_t steps_for_epochs(double epochs) const;
  /// First step count whose cumulative tokens (not padding) reach `tokens`.
  int64_t steps_for_tokens(int64_t tokens) const;
  /// Micro-batches of optimizer step `step` (1-based), epochs running on without end.
  StepBatches step(int64_t step) const;
  /// Micro-batches over all samples once, in file order, packed as in training: evaluation.
  std::vector<Batch> all_batches() const;

  /// The dataset's sample indices in each row of an epoch, in training order.
  std::vector<std::vector<int64_t>> rows(int64_t epoch) const;
  EpochSummary summary(int64_t epoch) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace graft::data
