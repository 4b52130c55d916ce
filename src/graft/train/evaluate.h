#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "graft/data/batch.h"
#include "graft/train/device_batch.h"

namespace graft::train {

/// What a model returns for a micro-batch. Sums, not means: the trainer divides by the tokens of the whole optimizer step.
struct LossResult {
  at::Tensor loss_sum;  ///< scalar on the model's device, differentiable when batch.training
  at::Tensor correct;   ///< int64 scalar: right predictions; needed in evaluations only
};

/// The model as the trainer sees it. ops::linear_cross_entropy makes both fields.
using LossFunction = std::function<LossResult(const DeviceBatch&)>;

/// Sums over a set of batches.
struct Evaluation {
  double loss_sum = 0;
  int64_t correct = 0, supervised_tokens = 0, tokens = 0;
  bool complete = true;  ///< false when `stop` asked to end early
  double loss() const { return supervised_tokens > 0 ? loss_sum / static_cast<double>(supervised_tokens) : 0.0; }
  double accuracy() const { return supervised_tokens > 0 ? static_cast<double>(correct) / static_cast<double>(supervised_tokens) : 0.0; }
};

/// Runs the model over every `stride`-th batch from `first` on without gradients: token-weighted loss and accuracy. The model must already
/// be in evaluation mode (dropout off). `stop` is asked between batches.
Evaluation evaluate(const LossFunction& model, const std::vector<data::Batch>& batches, at::Device device,
                    const std::function<bool()>& stop = {}, size_t first = 0, size_t stride = 1);

}  // namespace graft::train
