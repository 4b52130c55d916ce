#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "graft/app/memory_advice.h"
#include "graft/train/trainer.h"

namespace graft::app {

/// The allocator's own line when the exception is a failed allocation, on a GPU or on the host.
std::optional<std::string> allocation_failure(const std::exception& error);

/// Runs a training job. An allocation that fails in it becomes out_of_memory(situation) as it stands then.
int with_memory_advice(const MemorySituation& situation, const std::function<int()>& job);

/// Keeps the situation's phase and step up to date while the trainer runs: what observes it, and what goes around the calls that switch to
/// evaluation and that save. The situation must outlive the trainer.
void watch_phases(train::Trainer& trainer, MemorySituation& situation);
std::function<void(bool)> watch_evaluation(std::function<void(bool)> set_training, MemorySituation& situation);
train::WeightFiles watch_saving(train::WeightFiles files, MemorySituation& situation);

}  // namespace graft::app
