#pragma once

#include <cstdint>
#include <string>

namespace graft::train {

/// How the learning rate moves over a run. A recipe's `train.schedule`.
struct ScheduleOptions {
  enum class Type { kConstant, kLinear, kCosine, kWsd };
  Type type = Type::kConstant;
  double learning_rate = 2e-4;  ///< the peak
  double minimum = 0.0;         ///< where linear, cosine and wsd end, absolute (`min_lr: 10%` = 0.1 × the peak)
  int64_t warmup_steps = 0;     ///< W: steps of linear rise; step W has the peak
  double decay_fraction = 0.1;  ///< wsd: the last part of the run that decays, in (0, 1]
};

/// Learning rate of optimizer step k = 1 … steps (N). With W = warmup_steps:
///
///   k ≤ W     peak·k/W
///   k > W     p = (k−1−W)/(N−W)
///   constant  peak
///   linear    min + (peak−min)(1−p)
///   cosine    min + (peak−min)(1+cos πp)/2
///   wsd       peak until the last D = ⌈decay_fraction·N⌉ steps (never more than N−W), then linear to min over
///             q = (k−1−(N−D))/D                                          (Hu et al. 2024, arXiv:2404.06395)
///
/// (Hugging Face's curves without their zero first step.) A pure function: nothing to save, nothing to replay.
double learning_rate(const ScheduleOptions& options, int64_t step, int64_t steps);

/// RecipeError when a field is out of range (negative rate, minimum above the peak, warm-up longer than the run, …).
void check(const ScheduleOptions& options, int64_t steps);

/// "constant" | "linear" | "cosine" | "wsd"; RecipeError with the nearest name otherwise.
ScheduleOptions::Type parse_schedule(const std::string& name);

}  // namespace graft::train
