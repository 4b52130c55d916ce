#include "graft/app/recipe_options.h"

#include <algorithm>

#include "graft/app/device.h"
#include "graft/app/schedule_options.h"
#include "graft/base/random.h"

namespace graft::app {
namespace {

bool logs_to(const recipe::Recipe& recipe, const std::string& place) {
  return std::find(recipe.log.to.begin(), recipe.log.to.end(), place) != recipe.log.to.end();
}

}  // namespace

LoraOptions lora_options(const recipe::Recipe& recipe) {
  const auto& adapter = recipe.adapter;
  LoraOptions options(adapter.rank);
  options.alpha(adapter.alpha)
      .rank_stabilized(adapter.scaling == "rslora")
      .dropout(adapter.dropout)
      .targets(adapter.target)
      .exclude(adapter.exclude)
      .layers(adapter.layers)
      .bias(adapter.bias)
      .modules_to_save(adapter.modules_to_save)
      .init(adapter.init)
      .keep_base(false)
      .seed(derive_seed(static_cast<uint64_t>(recipe.seed), "init"))
      .dtype(resolve_dtype(adapter.dtype, at::kFloat))
      .base_model(recipe.model.path)
      .task_type("CAUSAL_LM");
  std::vector<LoraOverride> overrides;
  for (const auto& entry : adapter.overrides) overrides.push_back({entry.match, entry.rank, entry.alpha});
  options.overrides(std::move(overrides));
  return options;
}

train::TrainerOptions trainer_options(const recipe::Recipe& recipe, int64_t steps, double steps_per_epoch, bool has_evaluation,
                                      at::Device device) {
  const auto& optimizer = recipe.train.optimizer;
  train::AdamWOptions adamw;
  adamw.beta1 = optimizer.betas[0];
  adamw.beta2 = optimizer.betas[1];
  adamw.epsilon = optimizer.eps;
  adamw.weight_decay = optimizer.weight_decay;
  adamw.moments = optimizer.state == "int8" ? train::MomentFormat::kInt8 : train::MomentFormat::kFull;
  train::TrainerOptions options(steps);
  options.seed(static_cast<uint64_t>(recipe.seed))
      .schedule(schedule_options(recipe, steps, steps_per_epoch))
      .optimizer(adamw)
      .clip_grad_norm(recipe.train.clip_grad_norm)
      .device(device)
      .log_every(recipe.log.every.steps(steps, steps_per_epoch, 1))
      .metrics_file(logs_to(recipe, "jsonl"))
      .tensorboard(logs_to(recipe, "tensorboard"))
      .evaluate_every(has_evaluation ? recipe.eval.every.steps(steps, steps_per_epoch, 1) : 0)
      .evaluate_at_start(has_evaluation && recipe.eval.at_start)
      .metric(recipe.train.stop_when.metric)
      .patience(recipe.train.stop_when.patience.value_or(0))
      .minimum_gain(recipe.train.stop_when.min_delta)
      .checkpoint_every(recipe.checkpoint.every.steps(steps, steps_per_epoch, 1))
      .keep(recipe.checkpoint.keep)
      .test_first(recipe.checkpoint.test_first)
      .final_name(recipe.adapter.type == "full" ? "model" : "adapter")
      .handle_signals(false);
  return options;
}

train::ConsoleOptions console_options(const recipe::Recipe& recipe) {
  return {train::parse_progress(recipe.log.progress), logs_to(recipe, "console")};
}

}  // namespace graft::app
