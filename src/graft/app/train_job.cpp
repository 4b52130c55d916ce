#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <iostream>
#include <optional>
#include <thread>

#include "graft/app/device.h"
#include "graft/app/finished_run.h"
#include "graft/app/jobs.h"
#include "graft/app/memory_watch.h"
#include "graft/app/plan.h"
#include "graft/app/prompt_samples.h"
#include "graft/app/recipe_options.h"
#include "graft/app/run_data.h"
#include "graft/app/template_date.h"
#include "graft/app/trained_model.h"
#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/json.h"
#include "graft/base/log.h"
#include "graft/base/signals.h"
#include "graft/base/strings.h"
#include "graft/train/console.h"
#include "graft/train/run_directory.h"

namespace graft::app {
namespace {

void print_result(const recipe::Recipe& recipe, const std::string& weights, bool json) {
  if (json) {
    Json document = {{"output_dir", recipe.output_dir}, {"adapter", weights}};
    const auto report = fs::path(recipe.output_dir) / "report.json";
    if (fs::exists(report)) {
      document["report"] = read_json(report.string());
      document["report"]["final_weights"] = weights;  // the directory may have been moved since it was written
    }
    std::cout << dump_json(document, 2) << '\n';
  } else {
    std::cout << weights << '\n';
  }
}

/// The recipe that a run directory holds; nothing when there is none or it is damaged.
std::optional<recipe::Recipe> resolved_recipe(const fs::path& directory) {
  const auto file = directory / "recipe.resolved.yaml";
  if (!fs::exists(file)) return std::nullopt;
  try {
    return recipe::load_recipe(file);
  } catch (const Error&) {
    return std::nullopt;
  }
}

// A requeued job runs the same line: the day of the first start, written into the resolved recipe, keeps counting.
void keep_template_date(recipe::Recipe* recipe) {
  if (!recipe->data.template_date.empty()) return;
  const auto earlier = resolved_recipe(recipe->output_dir);
  if (earlier && recipe::identity_hash(*earlier) == recipe::identity_hash(*recipe))
    recipe->data.template_date = earlier->data.template_date;
}

/// A new run writes its recipe.yaml: another file of that name is somebody's own.
void keep_foreign_recipe(const recipe::Recipe& recipe) {
  const fs::path path = recipe.output_dir, file = path / "recipe.yaml";
  std::error_code ignored;
  if (!fs::exists(file, ignored) || fs::exists(path / "run.json", ignored) || read_file(file) == recipe.text) return;
  throw InUseError("the output directory already holds another \"recipe.yaml\", which this run would replace")
      .at(fs::absolute(file).string())
      .hint("choose another output_dir or move the file away");
}

std::shared_ptr<train::RunDirectory> open_run(const recipe::Recipe& recipe) {
  keep_foreign_recipe(recipe);
  const fs::path path = recipe.output_dir;
  try {
    auto directory = train::RunDirectory::open(path, recipe::identity_hash(recipe));
    if (recipe.checkpoint.resume == "none" && (directory->finished() || directory->has_checkpoints()))
      throw InUseError("output_dir holds a run of this recipe, and checkpoint.resume is none")
          .at(fs::absolute(path).string())
          .hint("choose another output_dir, or set checkpoint.resume: auto");
    return directory;
  } catch (const Error& error) {
    if (error.code() != ExitCode::kInUse) throw;
    if (const auto other = resolved_recipe(path)) {
      const auto keys = recipe::differing_keys(*other, recipe);
      if (!keys.empty()) throw InUseError(error.message() + "; keys that differ: " + enumerate(keys)).at(error.where()).hint(error.hint());
    }
    throw;
  }
}

/// A run whose checkpoints are lost never starts again in silence. One that was stopped before its first was due may.
void check_checkpoints_are_there(const recipe::Recipe& recipe, const train::RunDirectory& directory) {
  if (directory.has_checkpoints()) return;
  std::error_code ignored;
  const bool made_steps = fs::file_size(directory.metrics(), ignored) > 0 && !ignored;
  if (directory.saved_checkpoints() || (made_steps && recipe.checkpoint.test_first))
    throw DataError("this run has saved checkpoints, but they are gone")
        .at(directory.checkpoints().string())
        .hint("restore one from a backup, or start anew in another output_dir");
  if (made_steps) log::warning("this run was stopped before its first checkpoint: it starts again at step 1");
}

void write_recipes(const recipe::Recipe& recipe, const train::RunDirectory& directory) {
  const auto resolved = directory.path() / "recipe.resolved.yaml";
  if (resolved_recipe(directory.path())) return;
  if (fs::exists(resolved)) log::warning(resolved.string() + " is damaged; it is written again");
  replace_file(directory.path() / "recipe.yaml", recipe.text);
  replace_file(resolved, recipe::resolved_yaml(recipe));
}

// Only what changes the base has to know before the trainer restores a checkpoint.
fs::path start_of_adapter(const recipe::Recipe& recipe, const train::RunDirectory& directory) {
  if (recipe.adapter.init != "pissa" && recipe.adapter.init != "loftq") return {};
  const auto checkpoint = directory.newest_valid_checkpoint();
  return checkpoint ? checkpoint->path : fs::path();
}

void apply_runtime(const recipe::RuntimeSection& runtime) {
  const auto cores = static_cast<int64_t>(std::thread::hardware_concurrency());  // those that this process may use
  if (runtime.threads && cores > 0 && *runtime.threads > cores)
    log::warning("runtime.threads is " + std::to_string(*runtime.threads) + ", but this process has " + std::to_string(cores) +
                 " cores: more threads than cores wait for each other");
  if (runtime.threads) at::set_num_threads(static_cast<int>(*runtime.threads));
  if (runtime.deterministic) at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
}

void banner(const recipe::Recipe& recipe, const RunData& data, const PlanReport& plan, const TrainedModel& model, at::Device device) {
  log::info(recipe.name + ": " + data.decoder.family + ", " + format_count(plan.total_parameters) + " parameters, " +
            format_count(model.trainable_parameters()) + " of them trained, on " + device.str());
  log::info(format_count(plan.train_samples) + " samples, " + format_count(plan.tokens_per_epoch) + " tokens an epoch; " +
            format_count(plan.steps) + " steps; predicted peak memory " + format_bytes(static_cast<double>(plan.memory.total())) +
            (plan.recompute_every == 0   ? ", nothing recomputed"
             : plan.recompute_every == 1 ? ", every block recomputed"
                                         : ", one block in " + std::to_string(plan.recompute_every) + " recomputed") +
            (plan.memory.pinned_host == 0
                 ? ""
                 : ", " + format_bytes(static_cast<double>(plan.memory.pinned_host)) + " of activations in pinned host memory"));
}

/// What is settled before anything is loaded.
struct Run {
  const recipe::Recipe& recipe;
  const RunData& data;
  const PlanReport& plan;
  std::shared_ptr<train::RunDirectory> directory;
  at::Device device;
  int64_t memory;  ///< bytes that the device has for it
  MemorySituation situation;
};

std::vector<data::Batch> evaluation_batches(const Run& run) {
  auto batches = run.data.eval_plan->all_batches();
  const auto& most = run.recipe.eval.max_batches;
  if (most && static_cast<int64_t>(batches.size()) > *most) batches.resize(static_cast<size_t>(*most));
  return batches;
}

/// Has the packed weights written once the first step is done, which is what a person waits for.
class KeepsPacked final : public train::Observer {
 public:
  explicit KeepsPacked(TrainedModel& model) : model_(model) {}
  void on_step(const train::StepRow&, bool) override { model_.keep_packed(); }

 private:
  TrainedModel& model_;
};

int load_and_train(Run* run, bool json) {
  const auto& [recipe, data, plan, directory, device, memory, situation] = *run;
  const auto model = TrainedModel::make(recipe, data, device, plan.recompute_every, start_of_adapter(recipe, *directory));
  banner(recipe, data, plan, *model, device);
  if (!fs::exists(directory->report())) replace_file(directory->report(), dump_json(predicted_json(plan), 2) + "\n");
  auto options = trainer_options(recipe, plan.steps, plan.steps_per_epoch, data.eval_plan != nullptr, device);
  options.cuda_graph_tokens(train::graph_tokens(plan.memory, plan.recompute_every, recipe.memory.budget.value_or(memory)));
  options.identity({recipe::identity_hash(recipe), data.train->fingerprint(), model->base_fingerprint(),
                    data.eval != nullptr ? data.eval->fingerprint() : std::string()});

  train::Trainer trainer(
      model->loss_function(recipe), model->parameters(), [run](int64_t step) { return run->data.train_plan->step(step); }, options);
  trainer.save_with(watch_saving(model->files(recipe), run->situation))
      .run_directory(directory)
      .set_training_with(watch_evaluation([&model](bool on) { model->train(on); }, run->situation));
  if (data.eval_plan) trainer.evaluate_on([run] { return evaluation_batches(*run); });
  watch_phases(trainer, run->situation);
  trainer.observe(std::make_shared<train::Console>(console_options(recipe)));
  if (!data.sample_prompts.empty()) trainer.observe(std::make_shared<PromptSamples>(*model, data));
  trainer.observe(std::make_shared<KeepsPacked>(*model));
  const auto result = trainer.run();
  report_exports(recipe, result.final_weights);
  model->finish();
  print_result(recipe, result.final_weights.string(), json);
  return 0;
}

int run_recipe(recipe::Recipe recipe, const JobRequest& request) {
  const SignalFlag signals(recipe.checkpoint.on_signal);
  keep_template_date(&recipe);
  if (recipe.checkpoint.resume != "none" && is_finished_run(recipe)) {
    log::info("this run is finished; nothing to do");
    print_result(recipe, final_weights(recipe).string(), request.common.json);
    return 0;
  }
  const RunData data = load_run_data(recipe);
  recipe.data.template_date = template_date(recipe.data.template_date);
  const at::Device device = resolve_device(recipe.runtime.device);
  check_offload(recipe, device.is_cuda());
  const int64_t memory = memory_for_run(device);
  const PlanReport plan = make_plan(recipe, data, device.is_cuda(), memory);
  check_budget(recipe, plan);
  const auto directory = open_run(recipe);
  check_checkpoints_are_there(recipe, *directory);
  log::copy_to_file(directory->log());
  write_recipes(recipe, *directory);
  for (const auto& warning : plan.warnings) log::warning(warning);
  apply_runtime(recipe.runtime);

  Run run{recipe, data, plan, directory, device, memory, {}};
  run.situation.device = device.str();
  run.situation.room = memory;
  run.situation.inputs = plan.memory_inputs;
  return with_memory_advice(run.situation, [&] { return load_and_train(&run, request.common.json); });
}

}  // namespace

int run_train_job(const JobRequest& request) {
  return run_recipe(recipe::load_recipe(request.recipe, request.overrides, request.common.device, request.common.dtype), request);
}

int run_resume_job(const JobRequest& request) {
  const fs::path path = request.run_directory;
  const auto resolved = path / "recipe.resolved.yaml";
  if (!fs::exists(resolved))
    throw DataError("this is not a run directory: it has no recipe.resolved.yaml")
        .at(fs::absolute(path).string())
        .hint(fs::exists(path / "run.json") ? "it was stopped before it began: run the same `graft train RECIPE` again"
                                            : "give a recipe's output_dir");
  if (!request.common.dtype.empty())
    throw UsageError("resume goes on in the run's own number format").at("--dtype").hint("leave --dtype out");
  recipe::Recipe recipe = recipe::load_recipe(resolved, {}, request.common.device, "");
  recipe.checkpoint.resume = "auto";  // who asks for resume wants it, whatever `train` would do
  recipe.output_dir = path.string();  // the directory may have been moved
  return run_recipe(std::move(recipe), request);
}

}  // namespace graft::app
