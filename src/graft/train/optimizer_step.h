#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "graft/data/batch.h"
#include "graft/train/graphed_backward.h"
#include "graft/train/trainer.h"

namespace graft::train {

/// What one optimizer step found, read from the device in one go.
struct StepOutcome {
  double loss = 0;           ///< mean over the step's supervised tokens
  double gradient_norm = 0;  ///< before clipping
  bool stop_asked = false;   ///< a signal reached some rank
  bool finite() const;
};

/// Forward and backward over a step's micro-batches, gradient sum over ranks, norm, clip and update.
class OptimizerStep {
 public:
  OptimizerStep(const LossFunction& model, AdamW& optimizer, const TrainerOptions& options, const Peers& peers,
                std::function<void(int64_t, int64_t)> before_micro_batch);

  /// `step` is 1-based. When the outcome is not finite, parameters and moments are as before. `meanwhile` is called when all work is given
  /// to the device and only the outcome is waited for: the host's preparations for the next step belong there.
  StepOutcome run(int64_t step, const data::StepBatches& batches, bool stop_asked, const std::function<void()>& meanwhile = {});

  /// Takes the coming step's first micro-batch to the device ahead of run(), which must be given the same batches next.
  void stage(const data::StepBatches& batches);

  /// Why the last step was not finite, in words: the micro-batch or the parameter. Waits for the device.
  std::string explain_non_finite(const data::StepBatches& batches) const;

 private:
  DeviceBatch take_batch(const data::StepBatches& batches, int64_t micro_batch);
  at::Tensor accumulate(int64_t step, const data::StepBatches& batches);
  /// The batch's loss sum, with its gradients added to the parameters'.
  at::Tensor run_micro_batch(const DeviceBatch& batch, double step_tokens, bool only_one);
  void seed_generators(int64_t step, int64_t micro_batch) const;
  at::Tensor sum_over_ranks(const at::Tensor& loss, bool stop_asked);

  const LossFunction& model_;
  AdamW& optimizer_;
  const TrainerOptions& options_;
  const Peers& peers_;
  std::function<void(int64_t, int64_t)> before_micro_batch_;
  std::optional<DeviceBatch> staged_;
  std::optional<GraphedBackward> graphed_;                    // only where a graph may be recorded
  std::vector<std::pair<int64_t, at::Tensor>> micro_losses_;  // of the last step: (micro-batch, loss sum)
};

}  // namespace graft::train
