#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graft/recipe/recipe.h"

namespace graft::app {

struct RunData;

/// A line of the file that eval.sample_prompts names.
struct SamplePrompt {
  std::string text;
  std::vector<int32_t> ids;
};

/// The prompts, one a line, blank lines left out; none without the key. Where some source of the run's data is a chat, a prompt is what the
/// user says, through the chat template; else it is text to continue. `run`: config, tokenizer and template are there.
/// RecipeError when the file does not exist or the run has no evaluation, DataError (file:line) for one that cannot be used.
std::vector<SamplePrompt> read_sample_prompts(const recipe::Recipe& recipe, const RunData& run);

}  // namespace graft::app
