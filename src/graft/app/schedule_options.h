#pragma once

#include <cstdint>

#include "graft/recipe/recipe.h"
#include "graft/train/schedule.h"

namespace graft::app {

/// train.schedule and the learning rate for a run of `steps`, checked: RecipeError at the section when they do not fit the run. No
/// LibTorch: `plan` refuses what `train` would.
train::ScheduleOptions schedule_options(const recipe::Recipe& recipe, int64_t steps, double steps_per_epoch);

}  // namespace graft::app
