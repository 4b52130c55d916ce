#include "graft/app/time_estimate.h"

#include <algorithm>
#include <cmath>

#include "graft/app/quantized_base.h"
#include "graft/app/step_flop.h"
#include "graft/base/error.h"

namespace graft::app {
namespace {

/// How many times one is the other, as a distance: 0 when they are equal, 1 when one is twice the other.
double ratio(double a, double b) { return std::abs(std::log2(std::max(a, 1.0) / std::max(b, 1.0))); }

double distance(const TimeQuery& query, const BenchRecord& record) {
  const double recompute = (query.recompute_every > 0) == (record.recompute_every > 0) ? 0 : 0.5;
  const double offload = query.offload == record.offload ? 0 : 0.25;
  return 2 * ratio(static_cast<double>(query.parameters), static_cast<double>(record.parameters)) +
         ratio(static_cast<double>(query.micro_tokens), static_cast<double>(record.batch * record.sequence)) +
         ratio(query.length, static_cast<double>(record.sequence)) + recompute + offload;
}

/// nf4 and fp4 cost the same.
std::string kind_of_base(const std::string& quant) { return quant == "fp4" ? "nf4" : quant; }

std::string quant_of(const recipe::Recipe& recipe) {
  const auto base = quantized_base(recipe);
  return base ? kind_of_base(base->type) : "none";
}

double mean_sample(const PlanReport& plan) {
  // A share of the samples may be seen more than once an epoch; the mean over the epoch is near enough for attention's part.
  const double samples = static_cast<double>(std::max<int64_t>(plan.train_samples, 1));
  return std::clamp(static_cast<double>(plan.tokens_per_epoch) / samples, 1.0, static_cast<double>(plan.max_length));
}

/// The line that would make a record for this run.
std::string bench_command(const recipe::Recipe& recipe, const PlanReport& plan) {
  const std::string quant = quant_of(recipe);
  return "graft bench train --shape " + recipe.model.path + " --batch " + std::to_string(recipe.batch.micro_sequences) + " --seq " +
         std::to_string(plan.max_length) + " --rank " + std::to_string(recipe.adapter.rank) + (quant == "none" ? "" : " --quant " + quant) +
         (plan.recompute_every > 0 ? " --recompute full" : "") + (plan.memory.pinned_host > 0 ? " --offload" : "") +
         (recipe.model.dtype == "bf16" ? "" : " --dtype " + recipe.model.dtype) +
         (recipe.runtime.device == "auto" ? "" : " --device " + recipe.runtime.device);
}

}  // namespace

TimeQuery time_query(const recipe::Recipe& recipe, const RunData& data, const PlanReport& plan, const std::string& device) {
  const double tokens = static_cast<double>(std::max<int64_t>(plan.tokens_per_epoch, 1));
  const bool packed = recipe.data.packing != "none";
  TimeQuery query;
  query.device = machine_device(device);
  query.dtype = recipe.model.dtype;
  query.quant = quant_of(recipe);
  query.parameters = plan.total_parameters;
  query.recompute_every = plan.recompute_every, query.offload = plan.memory.pinned_host > 0;
  query.length = mean_sample(plan);
  query.micro_tokens = static_cast<int64_t>(static_cast<double>(plan.memory_inputs.micro_rows) *
                                            (packed ? static_cast<double>(plan.max_length) : query.length));
  query.flop_per_token = weight_flop_per_token(data.decoder, plan.recompute_every,
                                               static_cast<double>(plan.supervised_tokens_per_epoch) / tokens, plan.memory_inputs.full) +
                         attention_flop_per_token(data.decoder, plan.recompute_every, query.length);
  query.tokens = tokens * static_cast<double>(plan.steps) / std::max(plan.steps_per_epoch, 1.0);
  if (packed && plan.packing_efficiency > 0) query.tokens /= plan.packing_efficiency;
  return query;
}

std::optional<TimeEstimate> estimate_time(const TimeQuery& query, const std::vector<BenchRecord>& records) {
  const BenchRecord* nearest = nullptr;
  for (const auto& record : records) {
    if (record.device != query.device || record.dtype != query.dtype || kind_of_base(record.quant) != kind_of_base(query.quant)) continue;
    if (nearest == nullptr || distance(query, record) < distance(query, *nearest)) nearest = &record;
  }
  if (nearest == nullptr) return std::nullopt;
  const double speed = nearest->tokens_per_second * nearest->flop_per_token / query.flop_per_token;
  return TimeEstimate{query.tokens / speed, speed, *nearest};
}

void add_time(const recipe::Recipe& recipe, const RunData& data, PlanReport* plan) {
  const auto path = bench_file();
  const auto query = time_query(recipe, data, *plan, recipe.runtime.device);
  std::vector<BenchRecord> records;
  try {
    records = read_bench_file(path);
  } catch (const Error& error) {
    plan->warnings.push_back(error.message() + " (" + path.string() + ")");
  }
  plan->time = estimate_time(query, records);
  if (plan->time) return;
  plan->time_missing = (records.empty() ? "unknown: nothing was measured on this machine"
                                        : "unknown: no measurement of this device, dtype and kind of base") +
                       std::string("; `") + bench_command(recipe, *plan) + "` makes one";
}

}  // namespace graft::app
