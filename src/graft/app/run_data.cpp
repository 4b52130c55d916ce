#include "graft/app/run_data.h"

#include <algorithm>
#include <filesystem>

#include "graft/app/cache_home.h"
#include "graft/app/template_date.h"
#include "graft/base/error.h"
#include "graft/base/strings.h"
#include "graft/data/formats.h"
#include "graft/data/special_ids.h"
#include "graft/io/model_directory.h"
#include "graft/models/family.h"

namespace graft::app {
namespace {

namespace fs = std::filesystem;
constexpr int64_t kDefaultMaxLength = 2048;

// [prompt=question, completion=answer] → the format's field and the key it has in the file.
std::map<std::string, std::string> field_names(const recipe::Recipe& recipe, const recipe::DataSource& source) {
  std::map<std::string, std::string> names;
  for (const auto& entry : source.fields) {
    const size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == entry.size() ||
        !names.emplace(entry.substr(0, equals), entry.substr(equals + 1)).second)
      throw RecipeError("fields: \"" + entry + "\" is not field=key, each field once")
          .at(source.place.empty() ? recipe.file.string() : source.place)
          .hint("such as [prompt=question, completion=answer]");
  }
  return names;
}

data::SourceOptions source_options(const recipe::Recipe& recipe, const recipe::DataSource& source) {
  data::SourceOptions options;
  options.path = source.path;
  options.format = source.format;
  options.fields = field_names(recipe, source);
  options.weight = source.weight;
  options.limit = source.limit.value_or(-1);
  options.recipe_place = source.place.empty() ? recipe.file.string() : source.place;
  options.recipe_directory = recipe.directory_of(options.recipe_place).string();
  return options;
}

text::TrainOn train_on(const recipe::DataSection& data) {
  using Kind = text::TrainOn::Kind;
  if (data.train_on == "roles") return {Kind::kRoles, data.train_on_roles};
  if (data.train_on == "last-assistant") return {Kind::kLastAssistant, {}};
  if (data.train_on == "all") return {Kind::kAll, {}};
  return {Kind::kAssistant, {}};
}

data::DatasetOptions dataset_options(const recipe::Recipe& recipe, const RunData& run, const std::vector<recipe::DataSource>& sources) {
  using Options = data::DatasetOptions;
  Options options;
  for (const auto& source : sources) options.sources.push_back(source_options(recipe, source));
  options.train_on = train_on(recipe.data);
  options.template_date = template_date(recipe.data.template_date);
  options.max_length = run.max_length;
  options.on_overflow = recipe.data.on_overflow == "error"            ? Options::Overflow::kError
                        : recipe.data.on_overflow == "truncate-right" ? Options::Overflow::kTruncateRight
                                                                      : Options::Overflow::kDrop;
  options.on_bad_sample = recipe.data.on_bad_sample == "skip" ? Options::OnBadSample::kSkip : Options::OnBadSample::kError;
  options.cache_directory = cache_directory(recipe.data.cache, "data").string();
  options.workers = static_cast<int>(recipe.data.workers);
  options.pretrain = recipe.task == "pretrain";
  options.eos_id = run.tokenizer ? data::find_eos_id(recipe.model.path, *run.tokenizer) : -1;
  options.vocabulary_size = run.decoder.vocabulary_size;
  return options;
}

int64_t effective_max_length(const recipe::Recipe& recipe, const models::DecoderOptions& decoder) {
  if (!recipe.model.max_length) return std::min(decoder.max_positions, kDefaultMaxLength);
  if (*recipe.model.max_length > decoder.max_positions)
    throw RecipeError("model.max_length is " + std::to_string(*recipe.model.max_length) + ", but the model's positions end at " +
                      std::to_string(decoder.max_positions))
        .at(recipe.place_of("model.max_length"))
        .hint("lower it, or give the model's config.json a rope scaling that allows more");
  return *recipe.model.max_length;
}

/// Whether some source's format is written through a chat template when there is one.
bool takes_template(const std::vector<recipe::DataSource>& sources) {
  return std::any_of(sources.begin(), sources.end(), [](const auto& source) {
    const auto* format = data::find_format(source.format);
    return format != nullptr && format->chat_template != data::Format::Template::kUnused;
  });
}

std::unique_ptr<text::ChatTemplate> load_template(const recipe::Recipe& recipe, const std::vector<recipe::DataSource>& sources) {
  const std::string& source = recipe.data.template_source;
  const fs::path model = recipe.model.path;
  if (source == "chatml") return std::make_unique<text::ChatTemplate>(text::chatml_template(), text::special_tokens_of(model), "chatml");
  if (starts_with(source, "file:")) {
    const std::string path = source.substr(5);
    if (!fs::exists(path)) throw recipe::missing_path(recipe, "data.template", path, "chat template");
    return std::make_unique<text::ChatTemplate>(text::ChatTemplate::load_file(path, text::special_tokens_of(model)));
  }
  if (!takes_template(sources) || (!needs_template(sources) && !text::has_chat_template(model))) return nullptr;
  return std::make_unique<text::ChatTemplate>(text::ChatTemplate::load(model));
}

void check_family(const recipe::Recipe& recipe, const models::DecoderOptions& decoder) {
  if (recipe.model.family == "auto" || recipe.model.family == decoder.family) return;
  throw RecipeError("model.family is " + recipe.model.family + ", but config.json describes a " + decoder.family + " model")
      .at(recipe.place_of("model.family"))
      .hint("leave model.family at auto");
}

void split_or_load_evaluation(const recipe::Recipe& recipe, RunData* run) {
  if (recipe.data.eval.split) {
    std::tie(run->train_indices, run->eval_indices) = run->train->split(*recipe.data.eval.split, static_cast<uint64_t>(recipe.seed));
    return;
  }
  std::tie(run->train_indices, std::ignore) = run->train->split(0.0, static_cast<uint64_t>(recipe.seed));
  if (recipe.data.eval.sources.empty()) return;
  run->eval = std::make_unique<data::Dataset>(
      data::Dataset::build(dataset_options(recipe, *run, recipe.data.eval.sources), run->tokenizer.get(), run->chat_template.get()));
  std::tie(run->eval_indices, std::ignore) = run->eval->split(0.0, static_cast<uint64_t>(recipe.seed));
}

data::BatchPlanOptions batching(const recipe::Recipe& recipe, const RunData& run) {
  using Packing = data::BatchPlanOptions::Packing;
  data::BatchPlanOptions options;
  options.seed = static_cast<uint64_t>(recipe.seed);
  options.shuffle = recipe.data.shuffle;
  options.packing = recipe.data.packing == "none" ? Packing::kNone : Packing::kIsolated;
  options.max_length = run.max_length;
  options.micro_sequences = recipe.batch.micro_sequences;
  options.sequences_per_step = recipe.batch.sequences_per_step.value_or(0);
  options.tokens_per_step = recipe.batch.tokens_per_step.value_or(0);
  options.pad_id = run.tokenizer ? data::find_pad_id(recipe.model.path, *run.tokenizer) : 0;
  return options;
}

void add_warnings(const data::Dataset& dataset, const std::string& what, std::vector<std::string>* warnings) {
  const auto& s = dataset.statistics();
  const auto count = [](int64_t n) { return format_count(n); };
  if (s.skipped_bad > 0) warnings->push_back(what + ": " + count(s.skipped_bad) + " bad rows skipped, the first at " + s.first_bad);
  if (s.dropped_long > 0)
    warnings->push_back(what + ": " + count(s.dropped_long) + " of " + count(s.lines) +
                        " samples are longer than max_length and were dropped");
  if (s.truncated > 0) warnings->push_back(what + ": " + count(s.truncated) + " of " + count(s.lines) + " samples were cut to max_length");
  if (s.dropped_unsupervised > 0)
    warnings->push_back(what + ": " + count(s.dropped_unsupervised) + " samples have no token to train on and were dropped");
}

}  // namespace

bool needs_template(const std::vector<recipe::DataSource>& sources) {
  return std::any_of(sources.begin(), sources.end(), [](const auto& source) {
    const auto* format = data::find_format(source.format);
    return format != nullptr && format->chat_template == data::Format::Template::kRequired;
  });
}

RunData load_run_data(const recipe::Recipe& recipe) {
  if (!fs::is_directory(recipe.model.path)) throw recipe::missing_path(recipe, "model.path", recipe.model.path, "model directory");
  const io::ModelDirectory directory(recipe.model.path, io::ModelDirectory::Open::kConfigOnly);
  RunData run;
  run.warnings = recipe::remarks(recipe);
  run.decoder = models::read_decoder_options(directory);
  check_family(recipe, run.decoder);
  run.max_length = effective_max_length(recipe, run.decoder);

  auto all_sources = recipe.data.train;
  all_sources.insert(all_sources.end(), recipe.data.eval.sources.begin(), recipe.data.eval.sources.end());
  const bool only_tokens =
      std::all_of(all_sources.begin(), all_sources.end(), [](const auto& source) { return source.format == "tokens"; });
  if (!only_tokens || directory.has("tokenizer.json"))
    run.tokenizer = std::make_unique<text::Tokenizer>(text::Tokenizer::load(recipe.model.path));
  if (!only_tokens) run.chat_template = load_template(recipe, all_sources);

  run.train = std::make_unique<data::Dataset>(
      data::Dataset::build(dataset_options(recipe, run, recipe.data.train), run.tokenizer.get(), run.chat_template.get()));
  split_or_load_evaluation(recipe, &run);
  run.batching = batching(recipe, run);
  run.train_plan = std::make_unique<data::BatchPlan>(*run.train, run.train_indices, run.batching);
  if (!run.eval_indices.empty())
    run.eval_plan = std::make_unique<data::BatchPlan>(run.eval ? *run.eval : *run.train, run.eval_indices, run.batching);
  run.sample_prompts = read_sample_prompts(recipe, run);
  add_warnings(*run.train, "data.train", &run.warnings);
  if (run.eval) add_warnings(*run.eval, "data.eval", &run.warnings);
  return run;
}

int64_t total_steps(const recipe::Recipe& recipe, const data::BatchPlan& plan) {
  if (recipe.train.steps) return *recipe.train.steps;
  try {
    return recipe.train.epochs ? plan.steps_for_epochs(*recipe.train.epochs) : plan.steps_for_tokens(*recipe.train.tokens);
  } catch (const RecipeError& error) {
    const Error& told = error;
    throw RecipeError(told.message()).at(recipe.place_of(told.where())).hint(told.hint());
  }
}

}  // namespace graft::app
