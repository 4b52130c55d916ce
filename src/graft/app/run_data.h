#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "graft/app/sample_prompts.h"
#include "graft/data/batch_plan.h"
#include "graft/data/dataset.h"
#include "graft/models/decoder_options.h"
#include "graft/recipe/recipe.h"
#include "graft/text/chat_template.h"
#include "graft/text/tokenizer.h"

namespace graft::app {

/// The data side of a recipe, ready to train on. No LibTorch: `plan` and `data inspect` stop here.
struct RunData {
  models::DecoderOptions decoder;
  int64_t max_length = 0;                             ///< tokens: the recipe's, or 2048 at most of what the positions allow
  std::unique_ptr<text::Tokenizer> tokenizer;         ///< null when there is no tokenizer.json and every source is `tokens`
  std::unique_ptr<text::ChatTemplate> chat_template;  ///< null when no source takes one, or none needs one and the model has none
  std::unique_ptr<data::Dataset> train, eval;         ///< eval is null when it is split off train, or absent
  std::vector<int64_t> train_indices, eval_indices;
  data::BatchPlanOptions batching;
  std::unique_ptr<data::BatchPlan> train_plan, eval_plan;  ///< eval_plan is null without evaluation data
  std::vector<SamplePrompt> sample_prompts;                ///< eval.sample_prompts
  std::vector<std::string> warnings;
};

/// Opens the model's config and tokenizer, tokenises (or finds in the cache) all sources, splits and plans the batches.
/// RecipeError with the key's place for paths that do not exist and values the model cannot take; DataError for bad files.
RunData load_run_data(const recipe::Recipe& recipe);

/// Whether some source's format is written through the model's chat template.
bool needs_template(const std::vector<recipe::DataSource>& sources);

/// Optimizer steps of the whole run: steps, epochs or tokens, whichever the recipe states.
int64_t total_steps(const recipe::Recipe& recipe, const data::BatchPlan& plan);

}  // namespace graft::app
