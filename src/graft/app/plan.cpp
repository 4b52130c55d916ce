#include "graft/app/plan.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "graft/app/adapter_targets.h"
#include "graft/app/quantized_base.h"
#include "graft/app/schedule_options.h"
#include "graft/base/error.h"
#include "graft/base/strings.h"
#include "graft/models/family.h"

namespace graft::app {
namespace {

// Σ of the ranks in one block, averaged over the blocks: what A's outputs cost per token.
int64_t ranks_per_layer(const std::vector<AdaptedModule>& modules, int64_t layers) {
  int64_t sum = 0;
  for (const auto& module : modules) sum += module.rank;
  return (sum + layers - 1) / std::max<int64_t>(layers, 1);
}

/// Entries of those trained tensors that an 8-bit optimizer keeps in 8 bits.
int64_t eight_bit_parameters(const recipe::Recipe& recipe, const models::DecoderOptions& decoder) {
  if (recipe.train.optimizer.state != "int8") return 0;
  const auto large = [](int64_t entries) { return entries >= train::kSmallestEightBitTensor ? entries : 0; };
  int64_t sum = 0;
  if (recipe.adapter.type != "full") {
    for (const auto& module : adapted_modules(recipe, decoder)) sum += large(module.rank * module.in) + large(module.rank * module.out);
    return sum;
  }
  for (const auto& [path, shape] : models::linear_shapes(decoder))
    if (path != "lm_head" || !decoder.tied_embeddings) sum += large(shape[0] * shape[1]);
  return sum + large(decoder.vocabulary_size * decoder.hidden_size);
}

int64_t bytes_of(const std::string& dtype) { return dtype == "fp32" ? 4 : 2; }

train::MemoryInputs memory_inputs(const recipe::Recipe& recipe, const RunData& data, const PlanReport& plan, int64_t ranks, bool cuda) {
  const auto& decoder = data.decoder;
  train::MemoryInputs in;
  in.layers = decoder.layers, in.hidden = decoder.hidden_size, in.intermediate = decoder.intermediate_size;
  in.heads = decoder.attention_heads, in.key_value_heads = decoder.key_value_heads, in.head_size = decoder.head_size;
  in.vocabulary = decoder.vocabulary_size;
  in.total_parameters = plan.total_parameters;
  in.dtype_bytes = bytes_of(recipe.model.dtype);
  in.full = recipe.adapter.type == "full";
  if (const auto base = quantized_base(recipe)) {
    in.quantized_parameters = base->parameters;
    in.quantized_bytes = base->bytes_per_parameter;
    in.decoded_bytes = base->largest * in.dtype_bytes;
  }
  in.trainable_parameters = plan.trainable_parameters;
  in.trainable_bytes = in.full ? in.dtype_bytes : bytes_of(recipe.adapter.dtype);
  in.eight_bit_parameters = eight_bit_parameters(recipe, decoder);
  in.start_kept = recipe.adapter.init == "pissa";
  in.ranks_per_layer = ranks;
  in.micro_rows = recipe.batch.micro_sequences;
  in.length = recipe.data.packing == "none" ? std::min(data.max_length, data.train->statistics().longest) : data.max_length;
  in.micro_batches = std::max<int64_t>(1, recipe.batch.sequences_per_step.value_or(1) / std::max<int64_t>(1, recipe.batch.micro_sequences));
  in.loss_chunk_rows = recipe.memory.loss_chunk.value_or(0);
  in.offload = recipe.memory.offload_activations && cuda;
  in.cuda = cuda;
  return in;
}

/// What memory.checkpointing comes to.
int64_t chosen_recompute(const recipe::Recipe& recipe, train::MemoryInputs inputs, int64_t memory, std::vector<std::string>* warnings) {
  const auto& choice = recipe.memory.checkpointing;
  if (choice == "none") return 0;
  if (choice == "full") return 1;
  if (choice != "auto") return recipe.memory.checkpointing_every;
  if (memory > 0) return train::fitting_recompute(inputs, memory);
  const int64_t without = train::plan_memory(inputs).total();
  inputs.recompute_every = 1;
  if (without - train::plan_memory(inputs).total() < (int64_t{1} << 30)) return 0;
  warnings->push_back(
      "memory.checkpointing: auto is settled when training starts, by the memory that is free then (or by memory.budget); "
      "this estimate recomputes nothing, with full recompute it is " +
      format_bytes(static_cast<double>(train::plan_memory(inputs).total())));
  return 0;
}

void warn_of_offload(const recipe::Recipe& recipe, const train::MemoryInputs& inputs, std::vector<std::string>* warnings) {
  if (!recipe.memory.offload_activations) return;
  if (!inputs.cuda)
    warnings->push_back("memory.offload_activations needs a GPU, and this machine has none: training would refuse it here");
  else if (inputs.recompute_every == 0)
    warnings->push_back("memory.offload_activations has no effect: memory.checkpointing: auto recomputes nothing here");
}

std::string percent(double share) {
  char text[16];
  std::snprintf(text, sizeof text, "%.2g%%", 100 * share);
  return text;
}

std::string duration(double seconds) {
  char text[32];
  if (seconds < 60)
    std::snprintf(text, sizeof text, "%.2g s", seconds);
  else if (seconds < 3600)
    std::snprintf(text, sizeof text, "%.0f min", seconds / 60);
  else
    std::snprintf(text, sizeof text, "%.0f h %02d min", std::floor(seconds / 3600), static_cast<int>(std::fmod(seconds, 3600) / 60));
  return text;
}

std::string time_text(const TimeEstimate& time) {
  const auto& record = time.record;
  return "about " + duration(time.seconds) + " of steps at " + format_count(std::llround(time.tokens_per_second)) +
         " tokens/s, by the operations per token from `graft bench train` of " + record.date + ": " + record.shape + ", " +
         std::to_string(record.batch) + " x " + std::to_string(record.sequence) + ", " + record.dtype +
         (record.quant == "none" ? "" : ", " + record.quant) + ", " + format_count(std::llround(record.tokens_per_second)) +
         " tokens/s on " + record.device;
}

}  // namespace

PlanReport make_plan(const recipe::Recipe& recipe, const RunData& data, bool cuda, int64_t memory) {
  PlanReport plan;
  plan.warnings = data.warnings;
  const auto& statistics = data.train->statistics();
  plan.train_samples = static_cast<int64_t>(data.train_indices.size());
  plan.eval_samples = static_cast<int64_t>(data.eval_indices.size());
  plan.dropped_samples = statistics.dropped_long + statistics.dropped_unsupervised + statistics.skipped_bad;
  plan.steps = total_steps(recipe, *data.train_plan);
  plan.steps_per_epoch = static_cast<double>(data.train_plan->steps_in_epoch(0));
  schedule_options(recipe, plan.steps, plan.steps_per_epoch);  // refused here rather than when the run directory is there
  const auto epoch = data.train_plan->summary(0);
  plan.tokens_per_epoch = epoch.tokens;
  plan.packing_efficiency = epoch.packing_efficiency;
  plan.supervised_tokens_per_epoch =
      static_cast<int64_t>(static_cast<double>(statistics.supervised_tokens) * static_cast<double>(epoch.tokens) /
                           static_cast<double>(std::max<int64_t>(statistics.tokens, 1)));
  plan.max_length = data.max_length;
  plan.total_parameters = models::parameter_count(data.decoder);
  int64_t ranks = 0;
  if (recipe.adapter.type == "full") {
    plan.trainable_parameters = plan.total_parameters;
  } else {
    const auto modules = adapted_modules(recipe, data.decoder);
    plan.adapted_modules = static_cast<int64_t>(modules.size());
    for (const auto& module : modules) plan.trainable_parameters += module.parameters();
    plan.trainable_parameters += saved_whole_parameters(recipe, data.decoder);
    ranks = ranks_per_layer(modules, data.decoder.layers);
    if (!recipe.adapter.modules_to_save.empty())
      plan.warnings.push_back("adapter.modules_to_save: vLLM and llama.cpp refuse adapters with full copies of modules");
  }
  if (plan.supervised_tokens_per_epoch * 100 < plan.tokens_per_epoch)
    plan.warnings.push_back("less than 1 % of the tokens carry loss: is data.train_on what you mean? `graft data inspect` shows them");
  auto inputs = memory_inputs(recipe, data, plan, ranks, cuda);
  plan.recompute_every = inputs.recompute_every = chosen_recompute(recipe, inputs, recipe.memory.budget.value_or(memory), &plan.warnings);
  warn_of_offload(recipe, inputs, &plan.warnings);
  plan.memory_inputs = inputs;
  plan.memory = train::plan_memory(inputs);
  return plan;
}

void check_offload(const recipe::Recipe& recipe, bool cuda) {
  if (!recipe.memory.offload_activations || cuda) return;
  throw RecipeError("memory.offload_activations moves activations from a GPU to host memory, and this run has no GPU")
      .at(recipe.place_of("memory.offload_activations"))
      .hint("take memory.offload_activations out, or run on a GPU");
}

void check_budget(const recipe::Recipe& recipe, const PlanReport& plan) {
  if (!recipe.memory.budget || plan.memory.total() <= *recipe.memory.budget) return;
  throw RecipeError("the predicted peak memory, " + format_bytes(static_cast<double>(plan.memory.total())) + ", is above memory.budget, " +
                    format_bytes(static_cast<double>(*recipe.memory.budget)))
      .at(recipe.place_of("memory.budget"))
      .hint(std::string("set memory.checkpointing: full") + (plan.memory_inputs.cuda ? " and memory.offload_activations: true" : "") +
            ", or lower batch.micro_sequences, model.max_length or adapter.rank");
}

Json predicted_json(const PlanReport& plan) {
  Json parts;
  for (const auto& [name, bytes] : plan.memory.parts()) parts[name] = bytes;
  return {{"predicted_peak_memory_bytes", plan.memory.total()},
          {"predicted_memory_parts", parts},
          {"predicted_pinned_host_bytes", plan.memory.pinned_host},
          {"recompute_every", plan.recompute_every}};
}

Json plan_json(const recipe::Recipe& recipe, const PlanReport& plan) {
  Json document = {{"name", recipe.name},
                   {"output_dir", recipe.output_dir},
                   {"train_samples", plan.train_samples},
                   {"eval_samples", plan.eval_samples},
                   {"dropped_samples", plan.dropped_samples},
                   {"tokens_per_epoch", plan.tokens_per_epoch},
                   {"supervised_tokens_per_epoch", plan.supervised_tokens_per_epoch},
                   {"steps", plan.steps},
                   {"steps_per_epoch", plan.steps_per_epoch},
                   {"packing_efficiency", plan.packing_efficiency},
                   {"max_length", plan.max_length},
                   {"trainable_parameters", plan.trainable_parameters},
                   {"total_parameters", plan.total_parameters},
                   {"adapted_modules", plan.adapted_modules}};
  document.update(predicted_json(plan));
  document["predicted_seconds"] = plan.time ? Json(plan.time->seconds) : Json();
  document["predicted_tokens_per_second"] = plan.time ? Json(plan.time->tokens_per_second) : Json();
  document["bench_record"] = plan.time ? to_json(plan.time->record) : Json();
  document["warnings"] = plan.warnings;
  document["recipe"] = recipe::resolved_yaml(recipe);
  document["identity"] = recipe::identity_hash(recipe);
  return document;
}

std::string plan_text(const recipe::Recipe& recipe, const PlanReport& plan) {
  const auto count = [](int64_t n) { return format_count(n); };
  std::string text = recipe::resolved_yaml(recipe) + "\n";
  text += "samples     " + count(plan.train_samples) + " to train on, " + count(plan.eval_samples) + " to evaluate, " +
          count(plan.dropped_samples) + " dropped\n";
  text += "tokens      " + count(plan.tokens_per_epoch) + " an epoch, " + count(plan.supervised_tokens_per_epoch) +
          " of them carry loss; rows of " + count(plan.max_length) + " are " + percent(plan.packing_efficiency) + " full\n";
  text += "steps       " + count(plan.steps) + " (" + count(static_cast<int64_t>(plan.steps_per_epoch)) + " an epoch)\n";
  text += "parameters  " + count(plan.trainable_parameters) + " trained of " + count(plan.total_parameters) + " (" +
          percent(static_cast<double>(plan.trainable_parameters) / static_cast<double>(std::max<int64_t>(plan.total_parameters, 1))) + ")";
  text += plan.adapted_modules > 0 ? ", in " + count(plan.adapted_modules) + " modules\n" : "\n";
  text += "memory      " + format_bytes(static_cast<double>(plan.memory.total())) + " predicted peak:";
  for (const auto& [name, bytes] : plan.memory.parts()) text += " " + name + " " + format_bytes(static_cast<double>(bytes)) + ",";
  text.back() = '\n';
  if (plan.memory.pinned_host > 0)
    text += "host        " + format_bytes(static_cast<double>(plan.memory.pinned_host)) + " of pinned memory for offloaded activations\n";
  text += "time        " + (plan.time ? time_text(*plan.time) : plan.time_missing) + "\n";
  for (const auto& warning : plan.warnings) text += "warning     " + warning + "\n";
  return text;
}

}  // namespace graft::app
