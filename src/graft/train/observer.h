#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace graft::train {

/// One optimizer step as it is written down. Names and units are those of metrics.jsonl.
struct StepRow {
  int64_t step = 0;  ///< 1-based
  double epoch = 0;
  double loss = 0;  ///< mean over the step's supervised tokens, natural log
  double learning_rate = 0;
  double grad_norm = 0;                       ///< before clipping
  int64_t tokens = 0, supervised_tokens = 0;  ///< cumulative
  double tokens_per_second = 0, step_seconds = 0;
  int64_t peak_memory_bytes = 0;
};

/// One evaluation.
struct EvaluationRow {
  int64_t step = 0;
  double eval_loss = 0;  ///< mean over all supervised tokens of the evaluation data
  int64_t eval_tokens = 0;
  double eval_accuracy = 0;  ///< share of supervised tokens whose most likely prediction is right
};

/// What is known when the loop starts. A resumed run has written rows up to these steps that still hold; later ones do not.
struct RunStart {
  int64_t step = 0;             ///< optimizer steps already done: 0, or the checkpoint's
  int64_t evaluated_step = -1;  ///< last evaluation that holds; -1: none
  int64_t steps = 0;            ///< N
  int64_t log_every = 10;
  int64_t trainable_parameters = 0;
};

/// What a run came to. report.json.
struct RunResult {
  int64_t step = 0;  ///< optimizer steps done in all
  int64_t steps = 0;
  int64_t resumed_from = 0;
  bool stopped_early = false;
  double loss = 0;  ///< of the last step
  std::optional<double> best_metric;
  int64_t best_step = -1;
  int64_t tokens = 0, supervised_tokens = 0;  ///< cumulative over all starts
  double seconds = 0;                         ///< of all starts, up to their last save where they were killed
  double tokens_per_second = 0;               ///< of all starts, steps only
  int64_t peak_memory_bytes = 0;              ///< the highest of all starts
  int64_t trainable_parameters = 0;
  std::filesystem::path final_weights;  ///< "" without a run directory
};

/// Something that watches a run: metrics file, TensorBoard, console, a library user's own. Called on the training thread between
/// steps; an exception ends the run like any other error.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_start(const RunStart&) {}
  /// Every optimizer step; `logged` on those that log.every names.
  virtual void on_step(const StepRow&, bool /*logged*/) {}
  virtual void on_evaluation(const EvaluationRow&) {}
  virtual void on_checkpoint(int64_t /*step*/, const std::filesystem::path&) {}
  /// Before a checkpoint is committed: make what was written so far durable.
  virtual void flush() {}
  virtual void on_end(const RunResult&) {}
};

}  // namespace graft::train
