#pragma once

#include <cstdint>

#include "graft/adapters/lora_options.h"
#include "graft/recipe/recipe.h"
#include "graft/train/console.h"
#include "graft/train/trainer.h"

namespace graft::app {

/// adapter.* → what attach() takes. Not for adapter.type: full.
LoraOptions lora_options(const recipe::Recipe& recipe);

/// train.*, eval.*, checkpoint.*, log.* → what the trainer takes. `steps` is the whole run, `steps_per_epoch` what epochs count in.
train::TrainerOptions trainer_options(const recipe::Recipe& recipe, int64_t steps, double steps_per_epoch, bool has_evaluation,
                                      at::Device device);

/// log.to and log.progress → what stderr shows.
train::ConsoleOptions console_options(const recipe::Recipe& recipe);

}  // namespace graft::app
