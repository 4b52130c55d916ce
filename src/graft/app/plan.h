#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "graft/app/bench_file.h"
#include "graft/app/run_data.h"
#include "graft/base/json.h"
#include "graft/recipe/recipe.h"
#include "graft/train/memory_plan.h"

namespace graft::app {

/// How long the steps will take, and by which measurement.
struct TimeEstimate {
  double seconds = 0, tokens_per_second = 0;
  BenchRecord record;
};

/// What a recipe will do, worked out from config.json, the data and arithmetic. No LibTorch.
struct PlanReport {
  int64_t train_samples = 0, eval_samples = 0, dropped_samples = 0;
  int64_t tokens_per_epoch = 0, supervised_tokens_per_epoch = 0;
  int64_t steps = 0;
  double steps_per_epoch = 0;
  double packing_efficiency = 0;  ///< of the rows' room, in (0, 1]
  int64_t max_length = 0;
  int64_t trainable_parameters = 0, total_parameters = 0;
  int64_t adapted_modules = 0;
  train::MemoryInputs memory_inputs;  ///< what `memory` was worked out from
  train::MemoryPlan memory;
  int64_t recompute_every = 0;       ///< 0: nothing is recomputed; n: every n-th block
  std::optional<TimeEstimate> time;  ///< `plan` fills it in, where there is a measurement to go by
  std::string time_missing;          ///< else why there is none, and how to make one
  std::vector<std::string> warnings;
};

/// RecipeError for targets that match nothing. `memory`: bytes the device has for this run, by which `checkpointing: auto` chooses;
/// memory.budget goes before it; 0 when neither is known: then the plan is the one without recompute and says so.
PlanReport make_plan(const recipe::Recipe& recipe, const RunData& data, bool cuda, int64_t memory = 0);

/// RecipeError for memory.offload_activations in a run that has no GPU to take them from; make_plan only warns.
void check_offload(const recipe::Recipe& recipe, bool cuda);

/// RecipeError when the predicted peak is above memory.budget.
void check_budget(const recipe::Recipe& recipe, const PlanReport& plan);

/// predicted_peak_memory_bytes, predicted_memory_parts, predicted_pinned_host_bytes (of offloaded activations) and recompute_every: what
/// report.json keeps beside the measured peak.
Json predicted_json(const PlanReport& plan);

/// `plan --json`: everything, with the resolved recipe as YAML text.
Json plan_json(const recipe::Recipe& recipe, const PlanReport& plan);
/// The same for people.
std::string plan_text(const recipe::Recipe& recipe, const PlanReport& plan);

}  // namespace graft::app
