#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "graft/app/bench_file.h"
#include "graft/app/plan.h"

namespace graft::app {

/// A run, as far as its speed goes.
struct TimeQuery {
  std::string device;  ///< machine_device()
  std::string dtype, quant;
  int64_t parameters = 0, micro_tokens = 0, recompute_every = 0;
  bool offload = false;       ///< recomputed blocks' inputs in host memory
  double length = 0;          ///< tokens of a document, on average
  double flop_per_token = 0;  ///< as BenchRecord's
  double tokens = 0;          ///< that go through the model in the whole run, padding included
};

/// The query for a recipe's plan. `device`: the recipe's, or --device's.
TimeQuery time_query(const recipe::Recipe& recipe, const RunData& data, const PlanReport& plan, const std::string& device);

/// From the nearest record of this device, dtype and kind of base (dense, 4-bit or fp8): its tokens per second, times its operations per
/// token over the run's. Nearest is by the ratios of parameters, of tokens in a micro-batch and of document lengths (the first counts
/// twice), and by whether blocks are recomputed and their inputs offloaded. Nothing when there is no such record. Training steps only:
/// loading, evaluations and checkpoints come on top.
std::optional<TimeEstimate> estimate_time(const TimeQuery& query, const std::vector<BenchRecord>& records);

/// Fills in plan->time from bench_file(), or plan->time_missing: why there is none and the line that makes a record. A damaged file is a
/// warning of the plan.
void add_time(const recipe::Recipe& recipe, const RunData& data, PlanReport* plan);

}  // namespace graft::app
