#include "graft/app/schedule_options.h"

#include "graft/base/error.h"

namespace graft::app {

train::ScheduleOptions schedule_options(const recipe::Recipe& recipe, int64_t steps, double steps_per_epoch) {
  const auto& schedule = recipe.train.schedule;
  train::ScheduleOptions options;
  options.type = train::parse_schedule(schedule.type);
  options.learning_rate = recipe.train.optimizer.lr;
  options.minimum = schedule.min_lr.of(recipe.train.optimizer.lr);
  options.warmup_steps = schedule.warmup.steps(steps, steps_per_epoch);
  options.decay_fraction = static_cast<double>(schedule.decay.steps(steps, steps_per_epoch, 1)) / static_cast<double>(steps);
  try {
    train::check(options, steps);
  } catch (const Error& error) {
    throw RecipeError(error.message()).at(recipe.place_of("train.schedule")).hint(error.hint());
  }
  return options;
}

}  // namespace graft::app
