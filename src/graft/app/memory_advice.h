#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graft/base/error.h"
#include "graft/train/memory_plan.h"

namespace graft::app {

/// Where a training run stands, for the moment that an allocation fails.
struct MemorySituation {
  enum class Phase { kLoading, kStep, kEvaluation, kSaving };
  Phase phase = Phase::kLoading;
  int64_t step = 0;    ///< the one being taken (kStep), else the last one taken
  std::string device;  ///< "cuda:0", "cpu"
  int64_t room = 0;    ///< bytes the device had for this run when it began; 0: unknown
  train::MemoryInputs inputs;
  bool bench = false;  ///< remedies name the options of `bench train`, not keys of a recipe
};

/// One change that makes the failing phase smaller.
struct MemoryRemedy {
  std::string setting;     ///< "memory.checkpointing: full"
  int64_t saves = 0;       ///< bytes of the phase's predicted peak
  double cost = 0;         ///< share of the speed that goes, or what a change of the result counts like when they are ranked
  std::string price;       ///< cost in words
  bool is_enough = false;  ///< by the prediction
};

/// Predicted parts that are in memory in the phase, largest first; those of nothing are left out.
std::vector<std::pair<std::string, int64_t>> parts_in_phase(const MemorySituation& situation);

/// What applies, is not set already and saves a fiftieth of the phase's peak or more. Those that are enough come first, the cheapest of
/// them at the front; then the others by what they save.
///
/// Speed that goes: recomputing, by its matrix products (2 of 4 operations a weight again, of 6 when all weights are trained); offloading
/// counts as 3 %, for copies that do not quite hide; 4 bits, 160 / T on a GPU, T tokens of a micro-batch (decoding a weight takes as long
/// as 160 tokens' products) and a fifth on a CPU; half a micro-batch, the same for a 4-bit base and 60 / T for what the GPU idles.
std::vector<MemoryRemedy> memory_remedies(const MemorySituation& situation);

/// The whole message: the phase, the predicted peak with its largest parts beside what was free, and the best three remedies. `reported` is
/// the allocator's own line.
InternalError out_of_memory(const MemorySituation& situation, const std::string& reported);

}  // namespace graft::app
