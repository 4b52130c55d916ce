#include "graft/train/trainer.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <limits>
#include <string>
#include <utility>

#include "graft/adapters/dropout_stream.h"
#include "graft/base/error.h"
#include "graft/base/log.h"
#include "graft/base/signals.h"
#include "graft/data/prefetch.h"
#include "graft/train/metrics_file.h"
#include "graft/train/optimizer_step.h"
#include "graft/train/peak_memory.h"
#include "graft/train/report.h"
#include "graft/train/tensorboard.h"

namespace graft::train {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

bool due(int64_t step, int64_t every) { return every > 0 && step % every == 0; }

void check_options(const TrainerOptions& options, bool has_evaluation) {
  check(options.schedule(), options.steps());
  if (options.log_every() < 1) throw RecipeError("log.every must be at least 1 step");
  if (options.clip_grad_norm() && !(*options.clip_grad_norm() > 0))
    throw RecipeError("clip_grad_norm must be above 0, or null for no clipping");
  if (options.metric() != "eval/loss" && options.metric() != "eval/accuracy")
    throw RecipeError("unknown metric \"" + options.metric() + "\"").hint("choose eval/loss or eval/accuracy");
  if (options.patience() > 0 && (options.evaluate_every() < 1 || !has_evaluation))
    throw RecipeError("early stopping needs evaluations").hint("give data.eval and eval.every, or leave out train.stop_when");
}

}  // namespace

/// One call of Trainer::run.
class TrainingLoop {
 public:
  explicit TrainingLoop(Trainer& trainer)
      : trainer_(trainer),
        options_(trainer.options_),
        optimizer_(trainer.parameters_, options_.optimizer()),
        step_(trainer.model_, optimizer_, options_, trainer.peers_, trainer.before_micro_batch_) {}

  RunResult run() {
    const DropoutPositionKeeper dropout;
    optimizer_.zero_gradients();  // what somebody else's backward left is not this run's
    prepare();
    restore_or_begin();
    announce();
    set_training(true);
    if (evaluation_is_owed()) {
      evaluate_now();
      if (state_.step > 0) save();
    }
    if (trainer_.peers_.size == 1) stop_if_asked(SignalFlag::received() != 0);
    train_to_the_end();
    return finish();
  }

 private:
  bool first_rank() const { return trainer_.peers_.rank == 0; }

  /// At the start, or when a signal cut the evaluation of the step we continue from.
  bool evaluation_is_owed() const {
    if (state_.evaluated_step >= state_.step) return false;
    return state_.step == 0 ? options_.evaluate_at_start() : evaluation_is_due();
  }
  bool evaluation_is_due() const {
    return due(state_.step, options_.evaluate_every()) || (options_.evaluate_every() > 0 && state_.step == options_.steps());
  }

  void prepare() {
    if (!trainer_.files_.save) trainer_.files_ = plain_weight_files(trainer_.parameters_);
    directory_ = trainer_.directory_;
    if (!directory_ && !options_.output_dir().empty()) directory_ = RunDirectory::open(options_.output_dir(), options_.identity().recipe);
    if (!directory_) return;
    checkpointer_.emplace(directory_, trainer_.files_, optimizer_, options_.keep());
    if (!first_rank()) return;
    if (options_.metrics_file()) observers_.push_back(std::make_shared<MetricsFile>(directory_->metrics()));
    if (options_.tensorboard()) observers_.push_back(std::make_shared<TensorBoard>(directory_->path()));
  }

  void restore_or_begin() {
    observers_.insert(observers_.end(), trainer_.observers_.begin(), trainer_.observers_.end());
    const auto saved = checkpointer_ ? checkpointer_->restore(options_.identity(), options_.steps()) : std::nullopt;
    if (saved) {
      state_ = *saved;
      remember_saved();
      earlier_ = read_totals(directory_->totals());
      result_.resumed_from = state_.step;
      if (first_rank())
        log::info("restored step " + std::to_string(state_.step) + " of " + std::to_string(options_.steps()) + " from " +
                  directory_->checkpoint(state_.step).string());
      return;
    }
    state_.steps = options_.steps();
    state_.identity = options_.identity();
    if (checkpointer_ && first_rank() && options_.test_first()) {
      write_totals(directory_->totals(), totals());
      checkpointer_->save_and_compare(state_);
      remember_saved();
    }
  }

  void announce() {
    RunStart start;
    start.step = state_.step;
    start.evaluated_step = state_.evaluated_step;
    start.steps = options_.steps();
    start.log_every = options_.log_every();
    for (const auto& [name, parameter] : trainer_.parameters_) start.trainable_parameters += parameter.numel();
    result_.trainable_parameters = start.trainable_parameters;
    for (const auto& observer : observers_) observer->on_start(start);
  }

  void train_to_the_end() {
    if (state_.step >= options_.steps() || state_.stopped_early) return;
    data::Prefetcher batches(trainer_.steps_, state_.step + 1, options_.steps());
    while (state_.step < options_.steps() && !state_.stopped_early) {
      const bool stop_asked = train_one_step(batches);
      if (evaluation_is_due()) evaluate_now();
      if (due(state_.step, options_.checkpoint_every()) || improved_) save();
      const bool last = state_.step >= options_.steps() || state_.stopped_early;
      if (!last) stop_if_asked(stop_asked || (trainer_.peers_.size == 1 && SignalFlag::received() != 0));
    }
  }

  bool train_one_step(data::Prefetcher& batches) {
    const auto start = std::chrono::steady_clock::now();
    const auto input = take_input(batches);
    const int64_t step = state_.step + 1;
    const auto outcome = step_.run(step, input, SignalFlag::received() != 0, [&] { stage_next(batches, step + 1); });
    StepRow row;
    row.step = step;
    row.epoch = input.epoch;
    row.loss = outcome.loss;
    row.learning_rate = learning_rate(options_.schedule(), step, options_.steps());
    row.grad_norm = outcome.gradient_norm;
    row.tokens = state_.tokens + input.tokens();
    row.supervised_tokens = state_.supervised_tokens + input.supervised_tokens();
    row.step_seconds = seconds_since(start);
    row.tokens_per_second = static_cast<double>(input.tokens()) / row.step_seconds;
    row.peak_memory_bytes = peak_memory_bytes(options_.device());
    training_seconds_ += row.step_seconds;
    trained_tokens_ += input.tokens();
    for (const auto& observer : observers_) observer->on_step(row, due(step, options_.log_every()) || !outcome.finite());
    if (!outcome.finite()) refuse_non_finite(step, input);
    state_.step = step;
    state_.tokens = row.tokens;
    state_.supervised_tokens = row.supervised_tokens;
    state_.loss = outcome.loss;
    return outcome.stop_asked;
  }

  data::StepBatches take_input(data::Prefetcher& batches) {
    if (next_error_) std::rethrow_exception(next_error_);
    return next_input_ ? *std::exchange(next_input_, std::nullopt) : batches.next();
  }

  /// Fetched and uploaded while the device still computes. What goes wrong here is that step's error, not this one's.
  void stage_next(data::Prefetcher& batches, int64_t step) {
    if (step > options_.steps()) return;
    try {
      next_input_ = batches.next();
      step_.stage(*next_input_);
    } catch (...) {
      next_error_ = std::current_exception();
    }
  }

  [[noreturn]] void refuse_non_finite(int64_t step, const data::StepBatches& input) {
    throw NonFiniteError("training stopped at step " + std::to_string(step) + " before its update: " + step_.explain_non_finite(input) +
                         " is not finite")
        .at(saved_step_ >= 0 ? "last good state: " + directory_->checkpoint(saved_step_).string() : "step " + std::to_string(step))
        .hint(
            "lower the learning rate, set clip_grad_norm, train adapters in fp32, or look at the data of this step; the weights saved are "
            "finite");
  }

  void set_training(bool on) const {
    if (trainer_.set_training_) trainer_.set_training_(on);
  }

  void evaluate_now() {
    improved_ = false;
    if (!trainer_.evaluation_) return;
    if (evaluation_batches_.empty()) evaluation_batches_ = trainer_.evaluation_();
    set_training(false);
    const auto& peers = trainer_.peers_;
    const auto stop = [&] { return peers.size == 1 && SignalFlag::received() != 0; };
    auto found = evaluate(trainer_.model_, evaluation_batches_, options_.device(), stop, static_cast<size_t>(peers.rank),
                          static_cast<size_t>(peers.size));
    set_training(true);
    if (!found.complete) stop_if_asked(true);  // done again after the restart
    if (peers.size > 1) sum_evaluation(found);
    EvaluationRow row{state_.step, found.loss(), found.supervised_tokens, found.accuracy()};
    state_.evaluated_step = state_.step;
    for (const auto& observer : observers_) observer->on_evaluation(row);
    judge(row);
  }

  void sum_evaluation(Evaluation& evaluation) const {
    auto sums =
        at::tensor({evaluation.loss_sum, static_cast<double>(evaluation.correct), static_cast<double>(evaluation.supervised_tokens)},
                   at::TensorOptions(at::kDouble).device(options_.device()));
    trainer_.peers_.sum(sums);
    const auto host = sums.cpu();
    evaluation.loss_sum = host[0].item<double>();
    evaluation.correct = static_cast<int64_t>(host[1].item<double>());
    evaluation.supervised_tokens = static_cast<int64_t>(host[2].item<double>());
  }

  /// Keeps the best, counts towards patience. A loss that is not finite is no gain.
  void judge(const EvaluationRow& row) {
    const bool by_loss = options_.metric() == "eval/loss";
    const double value = by_loss ? row.eval_loss : row.eval_accuracy;
    const double infinity = std::numeric_limits<double>::infinity();
    const double gain = !std::isfinite(value) ? -infinity
                        : !state_.best_metric ? infinity
                        : by_loss             ? *state_.best_metric - value
                                              : value - *state_.best_metric;
    if (gain > 0) {
      state_.best_metric = value;
      state_.best_step = state_.step;
      improved_ = state_.step > 0;
    }
    state_.evaluations_without_gain = gain > options_.minimum_gain() ? 0 : state_.evaluations_without_gain + 1;
    if (options_.patience() == 0 || state_.evaluations_without_gain < options_.patience()) return;
    state_.stopped_early = true;
    log::info("stopping after step " + std::to_string(state_.step) + ": " + options_.metric() + " has not improved in " +
              std::to_string(state_.evaluations_without_gain) + " evaluations; the best was at step " + std::to_string(state_.best_step));
  }

  void save() {
    improved_ = false;
    if (!checkpointer_ || !first_rank()) return;
    for (const auto& observer : observers_) observer->flush();
    write_totals(directory_->totals(), totals());  // first: a kill in between counts steps twice, never too few
    const auto path = checkpointer_->save(state_);
    remember_saved();
    for (const auto& observer : observers_) observer->on_checkpoint(state_.step, path);
  }

  void remember_saved() {
    saved_step_ = state_.step;
    saved_state_ = to_json(state_);
  }
  /// An evaluation since the save is a reason to save again.
  bool is_saved() const { return to_json(state_) == saved_state_; }

  /// Of this run so far, whichever process did it.
  RunTotals totals() const {
    RunTotals sum = earlier_;
    sum.seconds += seconds_since(started_);
    sum.training_seconds += training_seconds_;
    sum.trained_tokens += trained_tokens_;
    sum.peak_memory_bytes = std::max(sum.peak_memory_bytes, peak_memory_bytes(options_.device()));
    return sum;
  }

  void stop_if_asked(bool asked) {
    if (!asked) return;
    if (!is_saved()) save();
    log::status("");
    const int signal = SignalFlag::received();
    const std::string by = signal != 0 ? signal_name(signal) : "another rank";
    PreemptedError stopped("stopped by " + by + " after step " + std::to_string(state_.step) + " of " + std::to_string(options_.steps()) +
                           (checkpointer_ ? "; the state is saved" : "; without an output_dir nothing could be saved"));
    if (checkpointer_) stopped.at(directory_->path().string()).hint("run the same command again, or `graft resume`, to continue");
    throw stopped;
  }

  RunResult finish() {
    if (!is_saved()) save();
    const RunTotals took = totals();
    result_.step = state_.step;
    result_.steps = options_.steps();
    result_.stopped_early = state_.stopped_early;
    result_.loss = state_.loss;
    result_.best_metric = state_.best_metric;
    result_.best_step = state_.best_step;
    result_.tokens = state_.tokens;
    result_.supervised_tokens = state_.supervised_tokens;
    result_.seconds = took.seconds;
    result_.tokens_per_second = took.training_seconds > 0 ? static_cast<double>(took.trained_tokens) / took.training_seconds : 0;
    result_.peak_memory_bytes = took.peak_memory_bytes;
    if (checkpointer_ && first_rank()) {
      checkpointer_->prune(state_);  // a kill right after the last save left that undone
      result_.final_weights = checkpointer_->save_final(options_.final_name());
      for (const auto& observer : observers_) observer->flush();
      write_report(directory_->report(), result_);  // last: a run is finished when this says so
    }
    for (const auto& observer : observers_) observer->on_end(result_);
    return result_;
  }

  Trainer& trainer_;
  const TrainerOptions& options_;
  AdamW optimizer_;
  OptimizerStep step_;
  std::shared_ptr<RunDirectory> directory_;  // unlocked when the run ends, unless the caller holds it too
  std::optional<Checkpointer> checkpointer_;
  std::vector<std::shared_ptr<Observer>> observers_;
  std::vector<data::Batch> evaluation_batches_;
  TrainerState state_;
  RunResult result_;
  int64_t saved_step_ = -1;
  std::string saved_state_;  // of the newest checkpoint, as text; "": none
  bool improved_ = false;
  std::optional<data::StepBatches> next_input_;  // fetched ahead
  std::exception_ptr next_error_;                // or why that failed
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  double training_seconds_ = 0;
  int64_t trained_tokens_ = 0;
  RunTotals earlier_;  // of the starts before this one
};

Trainer::Trainer(LossFunction model, NamedTensors parameters, StepSource steps, TrainerOptions options)
    : model_(std::move(model)), parameters_(std::move(parameters)), steps_(std::move(steps)), options_(std::move(options)) {}

Trainer& Trainer::evaluate_on(EvaluationSource batches) { return evaluation_ = std::move(batches), *this; }
Trainer& Trainer::save_with(WeightFiles files) { return files_ = std::move(files), *this; }
Trainer& Trainer::observe(std::shared_ptr<Observer> observer) { return observers_.push_back(std::move(observer)), *this; }
Trainer& Trainer::run_directory(std::shared_ptr<RunDirectory> directory) { return directory_ = std::move(directory), *this; }
Trainer& Trainer::peers(Peers peers) { return peers_ = std::move(peers), *this; }
Trainer& Trainer::set_training_with(std::function<void(bool)> set_training) { return set_training_ = std::move(set_training), *this; }
Trainer& Trainer::before_micro_batch(std::function<void(int64_t, int64_t)> hook) { return before_micro_batch_ = std::move(hook), *this; }

RunResult Trainer::run() {
  check_options(options_, static_cast<bool>(evaluation_));
  std::optional<SignalFlag> signals;
  if (options_.handle_signals()) {
    signals.emplace();
    // Workers that the caller's own tensors have begun take signals still; none may while it computes (see SignalFlag).
    at::parallel_for(0, at::get_num_threads(), 1, [](int64_t, int64_t) { hold_signals(); });
  }
  return TrainingLoop(*this).run();
}

}  // namespace graft::train
