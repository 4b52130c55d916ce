#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "graft/data/batch.h"

namespace graft::data {

/// Makes the batches of coming steps on a thread of its own, at most `depth` ahead, so that the training thread never collates.
/// `make` is called for first_step, first_step + 1, … last_step in order (last_step < 0: without end); plan.step is the usual one.
/// What `make` throws comes out of the next() that would have returned that step. The destructor stops the thread after the step
/// under way.
class Prefetcher {
 public:
  using Make = std::function<StepBatches(int64_t step)>;
  Prefetcher(Make make, int64_t first_step, int64_t last_step = -1, int depth = 2);
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// The batches of the next step. InternalError when called past last_step.
  StepBatches next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace graft::data
