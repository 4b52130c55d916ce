#include "graft/train/schedule.h"

#include <algorithm>
#include <cmath>

#include "graft/base/error.h"
#include "graft/base/strings.h"

namespace graft::train {

double learning_rate(const ScheduleOptions& options, int64_t step, int64_t steps) {
  const double peak = options.learning_rate;
  const double range = peak - options.minimum;
  const int64_t warmup = std::min(options.warmup_steps, steps);
  if (step <= warmup) return peak * static_cast<double>(step) / static_cast<double>(warmup);
  const double progress = static_cast<double>(step - 1 - warmup) / static_cast<double>(steps - warmup);
  switch (options.type) {
    case ScheduleOptions::Type::kConstant:
      return peak;
    case ScheduleOptions::Type::kLinear:
      return options.minimum + range * (1.0 - progress);
    case ScheduleOptions::Type::kCosine:
      return options.minimum + range * (1.0 + std::cos(M_PI * progress)) / 2.0;
    case ScheduleOptions::Type::kWsd:
      break;
  }
  // A whole number of steps that became a fraction and back may be off by a rounding error.
  const auto wanted = static_cast<int64_t>(std::ceil(options.decay_fraction * static_cast<double>(steps) - 1e-6));
  const int64_t decay = std::clamp<int64_t>(wanted, 1, steps - warmup);
  const int64_t into_decay = step - 1 - (steps - decay);
  if (into_decay <= 0) return peak;
  return options.minimum + range * (1.0 - static_cast<double>(into_decay) / static_cast<double>(decay));
}

void check(const ScheduleOptions& options, int64_t steps) {
  if (steps < 1) throw RecipeError("a run needs at least one optimizer step, got " + std::to_string(steps));
  if (!(options.learning_rate >= 0) || !std::isfinite(options.learning_rate))
    throw RecipeError("the learning rate must be a finite number of at least 0");
  if (!(options.minimum >= 0) || options.minimum > options.learning_rate)
    throw RecipeError("min_lr must lie between 0 and the learning rate");
  if (options.warmup_steps < 0) throw RecipeError("warmup must not be negative");
  if (options.warmup_steps > steps)
    throw RecipeError("the warm-up of " + std::to_string(options.warmup_steps) + " steps is longer than the run of " +
                      std::to_string(steps))
        .hint("shorten train.schedule.warmup or give it as a percentage");
  if (options.type == ScheduleOptions::Type::kWsd && !(options.decay_fraction > 0 && options.decay_fraction <= 1))
    throw RecipeError("the wsd schedule's decay must be above 0 and not longer than the run")
        .hint("shorten train.schedule.decay or give it as a percentage");
}

ScheduleOptions::Type parse_schedule(const std::string& name) {
  if (name == "constant") return ScheduleOptions::Type::kConstant;
  if (name == "linear") return ScheduleOptions::Type::kLinear;
  if (name == "cosine") return ScheduleOptions::Type::kCosine;
  if (name == "wsd") return ScheduleOptions::Type::kWsd;
  throw RecipeError("unknown learning-rate schedule \"" + name + "\"")
      .nearest(nearest_name(name, {"constant", "linear", "cosine", "wsd"}))
      .hint("choose constant, linear, cosine or wsd");
}

}  // namespace graft::train
