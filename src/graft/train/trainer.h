#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <torch/arg.h>

#include "graft/data/batch.h"
#include "graft/train/checkpointer.h"
#include "graft/train/evaluate.h"
#include "graft/train/observer.h"
#include "graft/train/optimizer.h"
#include "graft/train/schedule.h"

namespace graft::train {

/// How a run goes. Chainable: TrainerOptions(1000).learning_rate(2e-4).output_dir("runs/mine").
struct TrainerOptions {
  explicit TrainerOptions(int64_t steps) : steps_(steps) {}

  /// Optimizer steps of the whole run (N), however often it is interrupted.
  TORCH_ARG(int64_t, steps);
  /// Drives dropout; data order and initial weights have seeds of their own (data::BatchPlanOptions, LoraOptions).
  TORCH_ARG(uint64_t, seed) = 42;
  TORCH_ARG(ScheduleOptions, schedule);
  TORCH_ARG(AdamWOptions, optimizer);
  /// Largest 2-norm of all gradients together; unset: no clipping.
  TORCH_ARG(std::optional<double>, clip_grad_norm) = 1.0;
  /// Where batches go. The model must already be there.
  TORCH_ARG(at::Device, device) = at::kCPU;

  /// On a GPU, record forward and backward of steps of one micro-batch with at most this many tokens, whose shape comes again, as a CUDA
  /// graph, which takes the host out of the step; 0: never. The loss function must not wait for the device and must not draw random numbers
  /// (adapters' dropout draws none). A graph keeps the memory of its activations between steps.
  TORCH_ARG(int64_t, cuda_graph_tokens) = 0;

  /// Steps between rows of metrics.jsonl and console lines.
  TORCH_ARG(int64_t, log_every) = 10;
  /// Which files of the run directory the rows go to.
  TORCH_ARG(bool, metrics_file) = true;
  TORCH_ARG(bool, tensorboard) = true;
  /// Steps between evaluations, of which the last step is always one; 0: none. Needs evaluate_on.
  TORCH_ARG(int64_t, evaluate_every) = 0;
  TORCH_ARG(bool, evaluate_at_start) = false;
  /// What the best checkpoint and early stopping go by: "eval/loss" (lower is better) or "eval/accuracy" (higher is).
  TORCH_ARG(std::string, metric) = "eval/loss";
  /// Stop after this many evaluations in a row without a gain; 0: never.
  TORCH_ARG(int64_t, patience) = 0;
  /// A gain no larger than this does not count towards patience (the best checkpoint still follows every gain).
  TORCH_ARG(double, minimum_gain) = 0.0;

  /// Run directory; "" = nothing is written (or run_directory() gives one that is already open and locked).
  TORCH_ARG(std::filesystem::path, output_dir);
  /// Steps between checkpoints; 0: only the first, the last, and when stopped by a signal.
  TORCH_ARG(int64_t, checkpoint_every) = 0;
  /// Newest checkpoints kept; the best is kept besides.
  TORCH_ARG(int64_t, keep) = 2;
  /// Write, read back and compare a checkpoint before step 1: a full disk or a broken load shows now, not after hours.
  TORCH_ARG(bool, test_first) = true;
  /// Folder of the final weights inside the run directory.
  TORCH_ARG(std::string, final_name) = "adapter";
  /// What must be unchanged for a run to be continued.
  TORCH_ARG(RunIdentity, identity);
  /// Turn INT, TERM, USR1, USR2 into "finish the step, save, PreemptedError". False when the caller has a SignalFlag of its own (which is
  /// heeded just the same).
  TORCH_ARG(bool, handle_signals) = true;

 public:
  TrainerOptions& learning_rate(double rate) { return schedule_.learning_rate = rate, *this; }
};

/// The micro-batches of optimizer step 1, 2, …: a pure function of the step, so that resuming costs nothing
/// (data::BatchPlan::step). Called in order on a thread of its own, a little ahead of the training.
using StepSource = std::function<data::StepBatches(int64_t step)>;

/// All evaluation batches (data::BatchPlan::all_batches). Called once, before the first evaluation.
using EvaluationSource = std::function<std::vector<data::Batch>()>;

/// The other ranks of a data-parallel run. Every rank is given the same steps and takes micro-batches rank, rank + size, …; the loss is
/// normalised by the tokens of the whole step, so the result does not depend on size. Only rank 0 writes files.
struct Peers {
  int64_t rank = 0, size = 1;
  /// Sums the tensor over all ranks, in place, in the same order on each.
  std::function<void(at::Tensor&)> sum;
};

/// Trains `parameters` so that `model`'s loss falls. Knows no model, no recipe: the model is a function.
///
///   auto adapters = graft::attach(*model, graft::LoraOptions(16));
///   graft::Trainer trainer(loss, adapters.named_parameters(), batches, graft::TrainerOptions(1000).learning_rate(2e-4));
///   trainer.save_with({[&](auto& dir) { adapters.save(dir); }, [&](auto& dir) { adapters.load(dir); }, {}});
///   trainer.run();
///
/// One optimizer step: for each micro-batch loss_sum / (supervised tokens of the whole step) → backward; norm; clip; update. One
/// synchronisation with the device a step. A loss or gradient that is not finite stops the run before the update: NonFiniteError (76), the
/// last checkpoint stays. A signal: the step is finished, the state saved, PreemptedError (75). Two runs with the same inputs on the same
/// machine and thread count give the same bytes, interrupted or not. Gradients that are there before the run are cleared, and the position
/// of adapter dropout is afterwards what it was before.
class Trainer {
 public:
  Trainer(LossFunction model, NamedTensors parameters, StepSource steps, TrainerOptions options);

  /// Optional parts. Each returns *this.
  Trainer& evaluate_on(EvaluationSource batches);
  Trainer& save_with(WeightFiles files);
  Trainer& observe(std::shared_ptr<Observer> observer);
  Trainer& run_directory(std::shared_ptr<RunDirectory> directory);
  Trainer& peers(Peers peers);
  /// Called with true before training and false before an evaluation: module.train(on), so that dropout is off when it should be.
  Trainer& set_training_with(std::function<void(bool)> set_training);
  /// Called before each micro-batch's forward with (step, micro-batch): coordinates for random numbers of the model's own. LibTorch's
  /// generators and adapter dropout are set from (seed, step, micro-batch) in any case.
  Trainer& before_micro_batch(std::function<void(int64_t step, int64_t micro_batch)> hook);

  /// Runs, or continues, to the end. Files of a run directory: see RunDirectory.
  RunResult run();

 private:
  friend class TrainingLoop;
  LossFunction model_;
  NamedTensors parameters_;
  StepSource steps_;
  TrainerOptions options_;
  EvaluationSource evaluation_;
  WeightFiles files_;
  std::vector<std::shared_ptr<Observer>> observers_;
  std::shared_ptr<RunDirectory> directory_;
  Peers peers_;
  std::function<void(bool)> set_training_;
  std::function<void(int64_t, int64_t)> before_micro_batch_;
};

}  // namespace graft::train

namespace graft {
using train::Trainer;
using train::TrainerOptions;
}  // namespace graft
