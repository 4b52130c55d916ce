#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "graft/base/error.h"

/// A recipe in memory: one plain struct per YAML section, one field per key, names as in the file. The initialisers below are the
/// defaults; what each key means, its range and unit stand in schema_table.cpp, and `explain` prints them.
namespace graft::recipe {

/// `every`, `warmup`: a number of optimizer steps, a share of all steps of the run, or a number of epochs.
struct Frequency {
  enum class Unit { kSteps, kPercent, kEpochs };
  double value = 0;  ///< 3 for "3%"
  Unit unit = Unit::kSteps;

  bool operator==(const Frequency&) const = default;
  /// In optimizer steps, rounded up; at least `least`.
  int64_t steps(int64_t total_steps, double steps_per_epoch, int64_t least = 0) const;
};

/// A number, or a percentage of another one (`min_lr: 10%` is of the peak).
struct Share {
  double value = 0;  ///< 10 for "10%"
  bool percent = false;

  bool operator==(const Share&) const = default;
  double of(double whole) const { return percent ? whole * value / 100.0 : value; }
};

struct ModelSection {
  std::string path;                   ///< directory
  std::string family = "auto";        ///< auto | llama | qwen2 | qwen3 | mistral
  std::string dtype = "bf16";         ///< bf16 | fp16 | fp32 (always in this spelling)
  std::string attention = "auto";     ///< auto | sdpa | math
  std::string init = "pretrained";    ///< pretrained | random (config.json only)
  std::optional<int64_t> max_length;  ///< tokens; nullopt: the model's positions, 2048 at most

  bool operator==(const ModelSection&) const = default;
};

struct QuantSection {
  std::string type = "none";  ///< none | nf4 | fp4 | fp8
  bool double_quant = true;   ///< key `double`
  int64_t block = 64;         ///< weights per scale
  std::vector<std::string> skip = {"lm_head", "embed_tokens"};
  std::string cache = "auto";  ///< auto | none | directory

  bool operator==(const QuantSection&) const = default;
};

/// One entry of adapter.overrides; the first that matches a module's full name wins.
struct AdapterOverride {
  std::string match;            ///< leaf name, glob or regex:…
  std::optional<int64_t> rank;  ///< nullopt: adapter.rank
  std::optional<double> alpha;  ///< nullopt: adapter.alpha
  std::string place;            ///< file:line:col

  bool operator==(const AdapterOverride& other) const { return match == other.match && rank == other.rank && alpha == other.alpha; }
};

struct AdapterSection {
  std::string type = "lora";  ///< lora | full (every parameter is trained, no adapter)
  int64_t rank = 16;
  std::optional<double> alpha;                       ///< nullopt: 2 · rank
  std::string scaling = "standard";                  ///< standard (alpha / rank) | rslora (alpha / √rank)
  double dropout = 0.0;                              ///< [0, 1)
  std::vector<std::string> target = {"all-linear"};  ///< one word (all-linear | attention | mlp) or a list of leaf names, globs, regex:…
  std::vector<std::string> exclude;                  ///< taken out of target; same notation
  std::vector<int64_t> layers;                       ///< indices of the layers adapted; empty: all
  std::vector<AdapterOverride> overrides;
  std::vector<std::string> modules_to_save;  ///< trained in full and stored beside the adapter
  std::string bias = "none";                 ///< none | all | lora_only
  std::string init = "default";              ///< default | gaussian | pissa | loftq
  std::string dtype = "fp32";                ///< master dtype of A and B: fp32 | bf16 | fp16
  std::string init_from;                     ///< PEFT adapter directory; "": none

  double effective_alpha() const { return alpha.value_or(2.0 * static_cast<double>(rank)); }
  bool operator==(const AdapterSection&) const = default;
};

/// One entry of data.train or data.eval.
struct DataSource {
  std::string path;                 ///< file or glob
  std::string format = "messages";  ///< messages | sharegpt | alpaca | prompt_completion | text | tokens
  double weight = 1.0;              ///< expected passes per epoch
  std::optional<int64_t> limit;     ///< first N samples; nullopt: all
  std::vector<std::string> fields;  ///< "prompt=question": the format's field and the key it has in this file
  std::string place;                ///< file:line:col of its path, for errors about it

  bool operator==(const DataSource& other) const {
    return path == other.path && format == other.format && weight == other.weight && limit == other.limit && fields == other.fields;
  }
};

/// data.eval: null (none), `split: 0.02`, or a list like data.train. At most one of the two is set.
struct EvalData {
  std::optional<double> split;  ///< share of the training samples, (0, 1)
  std::vector<DataSource> sources;

  bool none() const { return !split && sources.empty(); }
  bool operator==(const EvalData&) const = default;
};

struct DataSection {
  std::vector<DataSource> train;
  EvalData eval;
  std::string template_source = "model";  ///< key `template`: model | chatml | file:PATH
  std::string template_date;              ///< YYYY-MM-DD; "": the day of the first start (the app fills it in)
  std::string train_on = "assistant";     ///< assistant | last-assistant | all | roles (then train_on_roles)
  std::vector<std::string> train_on_roles;
  std::string on_overflow = "drop";     ///< drop | truncate-right | error
  std::string on_bad_sample = "error";  ///< error | skip
  std::string packing = "isolated";     ///< isolated | none
  bool shuffle = true;
  int64_t workers = 4;         ///< tokenising threads
  std::string cache = "auto";  ///< auto | none | directory

  bool operator==(const DataSection&) const = default;
};

/// Exactly one of the first two is set once a recipe is loaded (16 sequences when it gives neither).
struct BatchSection {
  std::optional<int64_t> sequences_per_step;
  std::optional<int64_t> tokens_per_step;
  int64_t micro_sequences = 1;

  bool operator==(const BatchSection&) const = default;
};

struct OptimizerSection {
  std::string type = "adamw";
  double lr = 2e-4;
  std::vector<double> betas = {0.9, 0.999};  ///< two, each in [0, 1)
  double eps = 1e-8;
  double weight_decay = 0.0;
  std::string state = "fp32";  ///< fp32 | int8 | paged-int8

  bool operator==(const OptimizerSection&) const = default;
};

struct ScheduleSection {
  std::string type = "cosine";  ///< constant | linear | cosine | wsd
  Frequency warmup = {3, Frequency::Unit::kPercent};
  Share min_lr = {10, true};                          ///< of the peak
  Frequency decay = {10, Frequency::Unit::kPercent};  ///< wsd: length of the final descent

  bool operator==(const ScheduleSection&) const = default;
};

/// Early stopping is on when patience is set.
struct StopWhenSection {
  std::string metric = "eval/loss";  ///< eval/loss | eval/accuracy
  std::optional<int64_t> patience;   ///< evaluations without improvement
  double min_delta = 0.0;

  bool operator==(const StopWhenSection&) const = default;
};

/// Exactly one of steps, epochs and tokens is set.
struct TrainSection {
  std::optional<int64_t> steps;
  std::optional<double> epochs;  ///< may be fractional
  std::optional<int64_t> tokens;
  OptimizerSection optimizer;
  ScheduleSection schedule;
  std::optional<double> clip_grad_norm = 1.0;  ///< nullopt: off
  StopWhenSection stop_when;

  bool operator==(const TrainSection&) const = default;
};

struct MemorySection {
  std::string checkpointing = "auto";  ///< activation checkpointing: auto | none | full | every (then checkpointing_every)
  int64_t checkpointing_every = 1;     ///< recompute every N-th layer
  bool offload_activations = false;
  std::optional<int64_t> loss_chunk;  ///< tokens per piece of the output head; nullopt: auto
  std::optional<int64_t> budget;      ///< bytes; nullopt: auto (what the device has)

  bool operator==(const MemorySection&) const = default;
};

struct RuntimeSection {
  std::string device = "auto";      ///< auto | cpu | cuda | cuda:N
  std::optional<int64_t> ranks;     ///< processes on this node; nullopt: auto
  std::string strategy = "auto";    ///< auto | single
  std::string rendezvous = "auto";  ///< auto
  std::optional<int64_t> threads;   ///< CPU threads of the arithmetic; nullopt: auto
  bool deterministic = false;
  std::string compile = "none";

  bool operator==(const RuntimeSection&) const = default;
};

struct EvalSection {
  Frequency every = {200, Frequency::Unit::kSteps};
  std::optional<int64_t> max_batches = 64;  ///< nullopt: all
  bool at_start = true;
  std::string sample_prompts;  ///< text file, one prompt a line; "": none

  bool operator==(const EvalSection&) const = default;
};

struct CheckpointSection {
  Frequency every = {500, Frequency::Unit::kSteps};
  int64_t keep = 2;
  std::vector<std::string> on_signal = {"INT", "TERM", "USR1", "USR2"};
  bool test_first = true;
  std::string resume = "auto";  ///< auto | none

  bool operator==(const CheckpointSection&) const = default;
};

struct LogSection {
  Frequency every = {10, Frequency::Unit::kSteps};
  std::vector<std::string> to = {"console", "jsonl", "tensorboard"};
  std::string progress = "auto";  ///< auto | bar | lines | none

  bool operator==(const LogSection&) const = default;
};

struct ExportItem {
  std::string format = "peft";     ///< peft
  std::string dtype;               ///< of a merged model; "": the base's
  std::vector<std::string> check;  ///< consumers whose objections are printed: peft | vllm | llama.cpp

  bool operator==(const ExportItem&) const = default;
};

struct Recipe {
  int64_t schema = 1;
  std::string name;          ///< default: the recipe file's name without extension
  std::string task = "sft";  ///< sft | pretrain
  int64_t seed = 42;
  std::string output_dir;
  ModelSection model;
  QuantSection quant;
  AdapterSection adapter;
  DataSection data;
  BatchSection batch;
  TrainSection train;
  MemorySection memory;
  RuntimeSection runtime;
  EvalSection eval;
  CheckpointSection checkpoint;
  LogSection log;
  std::vector<ExportItem> exports = {ExportItem{}};  ///< key `export`

  // Where it came from: not keys, not compared.
  std::filesystem::path file;                 ///< as given to load_recipe
  std::string text;                           ///< the file's bytes
  std::map<std::string, std::string> places;  ///< "model.path" → "recipe.yaml:4:9" for every key given; absent: the default holds

  /// Whether the key was written down (file, extends or command line) rather than left at its default.
  bool was_given(const std::string& key) const { return places.count(key) != 0; }
  /// file:line:col of the key's value, "command line: key=value", or the recipe file alone when the key was not given.
  std::string place_of(const std::string& key) const;
  /// The directory of the recipe or base that `place` (place_of's, or a source's) lies in.
  std::filesystem::path directory_of(const std::string& place) const;
  /// Same values for every key.
  bool operator==(const Recipe& other) const;
};

/// Reads a recipe: its `extends` chain below it, the overrides on top ("a.b=value", "~a.b"), every value checked against the schema and
/// every cross-field rule. `device_option` and `dtype_option` are --device and --dtype ("": not given) and win over everything.
/// All problems are reported together in one RecipeError, each with its file:line:col (or "command line"), the nearest key and what
/// to do. `path` may also name a shipped recipe ("quickstart", "llama/1b_lora") when no such file exists.
/// UsageError when neither exists.
Recipe load_recipe(const std::filesystem::path& path, const std::vector<std::string>& overrides = {}, const std::string& device_option = "",
                   const std::string& dtype_option = "");

/// The same from memory; `origin` stands for the file name in messages and relative `extends`.
Recipe parse_recipe(const std::string& text, const std::string& origin, const std::vector<std::string>& overrides = {},
                    const std::string& device_option = "", const std::string& dtype_option = "");

/// Every key with its value as YAML, and the identity hash. Loading it gives an equal Recipe with the same hash and was_given.
std::string resolved_yaml(const Recipe& recipe);

/// SHA-256 (hex) over every key that can change the result: not output_dir, log, runtime.device, runtime.ranks, checkpoint, name, nor where
/// caches lie and how many threads tokenise. A template_date that was not given does not count, so that tomorrow's restart of the same
/// file is the same run.
std::string identity_hash(const Recipe& recipe);

/// Keys (dotted) whose values differ between two recipes, those of the identity only: what to print when a directory holds another run.
std::vector<std::string> differing_keys(const Recipe& a, const Recipe& b);

/// What is allowed but has no effect, one line each with its place: for warnings.
std::vector<std::string> remarks(const Recipe& recipe);

/// The error for a path in a recipe that does not exist: the key's line, the absolute path tried, and whether it lies beside the recipe.
/// `what` names it ("model directory"); `key` is "model.path", "data.train.0.path", …
RecipeError missing_path(const Recipe& recipe, const std::string& key, const std::string& path, const std::string& what);

}  // namespace graft::recipe
