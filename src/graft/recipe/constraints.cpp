#include "graft/recipe/constraints.h"

#include <algorithm>
#include <string>
#include <vector>

#include "graft/base/strings.h"
#include "graft/recipe/schema.h"

namespace graft::recipe {
namespace {

/// One rule: the key to point at, a test, what is wrong, what to do.
struct Rule {
  std::string key;
  bool (*broken)(const Recipe&);
  std::string text;
  std::string remedy;
};

int lengths_given(const Recipe& recipe) {
  return recipe.train.steps.has_value() + recipe.train.epochs.has_value() + recipe.train.tokens.has_value();
}

bool given_any(const Recipe& recipe, const std::vector<std::string>& keys) {
  return std::any_of(keys.begin(), keys.end(), [&](const std::string& key) { return recipe.was_given(key); });
}

const std::vector<std::string>& lora_keys() {
  static const std::vector<std::string> keys = {
      "adapter.rank",    "adapter.alpha",     "adapter.scaling",   "adapter.dropout",         "adapter.target",
      "adapter.exclude", "adapter.layers",    "adapter.overrides", "adapter.modules_to_save", "adapter.bias",
      "adapter.init",    "adapter.init_from", "adapter.dtype"};
  return keys;
}

QuantSection without_type(QuantSection quant) {
  quant.type = "none";
  return quant;
}

bool is_word(const std::string& entry) { return entry == "all-linear" || entry == "attention" || entry == "mlp"; }

bool has_separator(const std::string& entry) { return !starts_with(entry, "regex:") && entry.find_first_of(", ") != std::string::npos; }

bool changes_nothing(const AdapterOverride& entry) { return !entry.rank && !entry.alpha; }

const std::vector<Rule>& rules() {
  static const std::vector<Rule> table = {
      {"train", [](const Recipe& r) { return lengths_given(r) == 0; }, "the length of the run is missing",
       "give exactly one of train.steps, train.epochs and train.tokens"},
      {"train", [](const Recipe& r) { return lengths_given(r) > 1; },
       "more than one of train.steps, train.epochs and train.tokens is given",
       "keep exactly one; on the command line ~train.epochs takes one of the recipe's away"},
      {"batch.tokens_per_step",
       [](const Recipe& r) { return r.batch.sequences_per_step.has_value() && r.batch.tokens_per_step.has_value(); },
       "batch.sequences_per_step and batch.tokens_per_step are both given", "keep one; ~batch.sequences_per_step takes the recipe's away"},
      {"batch.micro_sequences",
       [](const Recipe& r) { return r.batch.sequences_per_step && r.batch.micro_sequences > *r.batch.sequences_per_step; },
       "batch.micro_sequences is larger than batch.sequences_per_step",
       "a micro-batch is a part of the step: lower it, or raise sequences_per_step"},
      {"batch.micro_sequences",
       [](const Recipe& r) { return r.batch.tokens_per_step && r.batch.micro_sequences > *r.batch.tokens_per_step; },
       "batch.micro_sequences is larger than batch.tokens_per_step", "a row has at least one token: lower micro_sequences"},
      {"quant", [](const Recipe& r) { return r.was_given("quant") && !r.was_given("quant.type"); }, "quant has keys but no type",
       "add quant.type, or take the section out"},
      {"quant.type", [](const Recipe& r) { return r.quant.type == "none" && without_type(r.quant) != QuantSection{}; },
       "quant.type: none quantizes nothing, but other keys of quant are given",
       "take them out (~quant on the command line), or name a type"},
      {"quant.block", [](const Recipe& r) { return r.quant.type != "none" && (r.quant.block & (r.quant.block - 1)) != 0; },
       "quant.block is not a power of two", "use 64 (usual), 32, 128, … 4096"},
      {"quant.type",
       [](const Recipe& r) {
         return r.quant.type == "fp8" && given_any(r, {"quant.double", "quant.block", "quant.cache"});
       },
       "quant.type: fp8 has one scale a row and is made while loading: quant.double, quant.block and quant.cache have no meaning for it",
       "take them out, or use quant.type: nf4"},
      {"adapter.type", [](const Recipe& r) { return r.adapter.type == "full" && given_any(r, lora_keys()); },
       "adapter.type: full trains every parameter and has no low-rank matrices, but keys of adapter that need them are given",
       "take rank, alpha, target and the like out, or use adapter.type: lora"},
      {"adapter.type", [](const Recipe& r) { return r.adapter.type == "full" && r.quant.type != "none"; },
       "a quantized base cannot be trained in full", "use adapter.type: lora, or quant.type: none"},
      {"adapter.dtype",
       [](const Recipe& r) { return !r.adapter.init_from.empty() && r.was_given("adapter.dtype") && r.adapter.dtype != "fp32"; },
       "an adapter that adapter.init_from names is trained in float32, whatever adapter.dtype says", "take adapter.dtype out"},
      {"adapter.init", [](const Recipe& r) { return r.adapter.init == "loftq" && r.quant.type == "none"; },
       "adapter.init: loftq makes up for what quantization loses, and nothing is quantized", "set quant.type, or use adapter.init: pissa"},
      {"adapter.init", [](const Recipe& r) { return r.quant.type == "fp8" && (r.adapter.init == "loftq" || r.adapter.init == "pissa"); },
       "adapter.init: pissa and loftq start from a plain or a 4-bit base, not from fp8",
       "use adapter.init: default, or another quant.type"},
      {"adapter.target", [](const Recipe& r) { return r.adapter.target.empty(); }, "adapter.target is an empty list",
       "name at least one module, or use all-linear"},
      {"adapter.target",
       [](const Recipe& r) {
         return r.adapter.target.size() > 1 && std::any_of(r.adapter.target.begin(), r.adapter.target.end(), is_word);
       },
       "all-linear, attention and mlp stand alone, not in a longer list", "use the word by itself, or list leaf names and globs"},
      {"adapter.target", [](const Recipe& r) { return std::any_of(r.adapter.target.begin(), r.adapter.target.end(), has_separator); },
       "an entry of adapter.target contains a comma or a space", "write several modules as a list: [q_proj, v_proj]"},
      {"adapter.overrides",
       [](const Recipe& r) { return std::any_of(r.adapter.overrides.begin(), r.adapter.overrides.end(), changes_nothing); },
       "an entry of adapter.overrides changes neither rank nor alpha", "give rank or alpha, or take the entry out"},
      {"data.train_on", [](const Recipe& r) { return r.data.train_on == "roles" && r.data.train_on_roles.empty(); },
       "data.train_on.roles is an empty list", "name at least one role"},
      {"data.train_on", [](const Recipe& r) { return r.task == "pretrain" && r.was_given("data.train_on") && r.data.train_on != "all"; },
       "task: pretrain trains on every token, but data.train_on leaves some out", "take data.train_on out, or use task: sft"},
      {"model.init", [](const Recipe& r) { return r.model.init == "random" && r.quant.type != "none"; },
       "random weights are trained, not quantized", "use quant.type: none"},
      {"train.stop_when", [](const Recipe& r) { return r.train.stop_when.patience && r.data.eval.none(); },
       "train.stop_when needs evaluation data", "give data.eval, for example data.eval: {split: 0.02}"},
      {"train.stop_when",
       [](const Recipe& r) {
         return given_any(r, {"train.stop_when.metric", "train.stop_when.min_delta"}) && !r.train.stop_when.patience &&
                !r.was_given("train.stop_when.patience");
       },
       "train.stop_when has a metric or min_delta but no patience",
       "add train.stop_when.patience: the evaluations to wait for an improvement"},
      {"train.schedule.min_lr", [](const Recipe& r) { return r.train.schedule.min_lr.of(r.train.optimizer.lr) > r.train.optimizer.lr; },
       "train.schedule.min_lr is above the peak train.optimizer.lr", "lower it; 10% means a tenth of the peak"},
      {"train.schedule.decay",
       [](const Recipe& r) { return r.train.schedule.decay != ScheduleSection{}.decay && r.train.schedule.type != "wsd"; },
       "train.schedule.decay belongs to type: wsd only", "take it out, or set train.schedule.type: wsd"},
      {"train.schedule.warmup",
       [](const Recipe& r) {
         const Frequency& warmup = r.train.schedule.warmup;
         return warmup.unit == Frequency::Unit::kSteps && r.train.steps && warmup.value > static_cast<double>(*r.train.steps);
       },
       "train.schedule.warmup is longer than the run", "shorten it, or write it as a share: 3%"},
      {"memory.offload_activations", [](const Recipe& r) { return r.memory.offload_activations && r.memory.checkpointing == "none"; },
       "memory.offload_activations keeps the inputs of recomputed layers in host memory, and memory.checkpointing: none recomputes none",
       "set memory.checkpointing: full (or auto), or take memory.offload_activations out"},
      {"memory.offload_activations", [](const Recipe& r) { return r.memory.offload_activations && r.runtime.device == "cpu"; },
       "memory.offload_activations moves activations from a GPU to host memory, and runtime.device is cpu: they are there already",
       "take memory.offload_activations out, or run on a GPU"},
      {"runtime.ranks", [](const Recipe& r) { return r.runtime.ranks.value_or(1) > 1; },
       "more than one process is not in this version of graft", "leave runtime.ranks at auto or 1"},
      {"data.eval",
       [](const Recipe& r) {
         return std::any_of(r.data.eval.sources.begin(), r.data.eval.sources.end(), [](const DataSource& s) { return s.weight != 1; });
       },
       "data.eval: weight has no meaning for evaluation, which reads every sample once", "take weight out, or use limit"},
      {"export", [](const Recipe& r) { return r.exports.empty(); }, "export is an empty list, but the adapter is always written",
       "take export out"},
      {"export",
       [](const Recipe& r) {
         return r.adapter.type == "full" &&
                std::any_of(r.exports.begin(), r.exports.end(), [](const ExportItem& e) { return !e.check.empty(); });
       },
       "export: check asks what consumers of adapters would refuse, and adapter.type: full writes none", "take check out"},
      {"export",
       [](const Recipe& r) {
         return std::any_of(r.exports.begin(), r.exports.end(), [](const ExportItem& e) { return e.format == "peft" && !e.dtype.empty(); });
       },
       "export: dtype belongs to merged models; an adapter is written in adapter.dtype", "take dtype out"},
  };
  return table;
}

/// Not wrong, but without effect: said, not refused.
const std::vector<Rule>& remark_rules() {
  static const std::vector<Rule> table = {
      {"eval", [](const Recipe& r) { return r.was_given("eval") && r.data.eval.none(); }, "eval has no effect: data.eval is null",
       "give data.eval, or take eval out"},
      {"batch.micro_sequences",
       [](const Recipe& r) {
         return r.was_given("batch.micro_sequences") && r.batch.sequences_per_step.value_or(0) % r.batch.micro_sequences != 0;
       },
       "batch.sequences_per_step is not a multiple of batch.micro_sequences: the last micro-batch of each step is smaller",
       "the result is the same; a multiple is faster"},
  };
  return table;
}

}  // namespace

std::vector<std::string> remarks(const Recipe& recipe) {
  std::vector<std::string> lines;
  for (const Rule& rule : remark_rules()) {
    if (rule.broken(recipe)) lines.push_back(recipe.place_of(rule.key) + ": " + rule.text + " (" + rule.remedy + ")");
  }
  return lines;
}

void check_constraints(const Recipe& recipe, Problems& problems) {
  for (const Rule& rule : rules()) {
    if (rule.broken(recipe)) problems.add({recipe.place_of(rule.key), rule.text, "", rule.remedy});
  }
}

}  // namespace graft::recipe
