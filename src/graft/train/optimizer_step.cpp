#include "graft/train/optimizer_step.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <utility>

#include "graft/adapters/dropout_stream.h"
#include "graft/base/random.h"
#include "graft/train/clip.h"
#include "graft/train/device_batch.h"

namespace graft::train {
namespace {

void seed_generator(const at::Generator& generator, uint64_t seed) {
  auto handle = generator;
  const std::lock_guard<std::mutex> lock(handle.mutex());
  handle.set_current_seed(seed);
}

/// Gradients a rank did not compute (it had no micro-batch) still take part in the sum.
at::Tensor gradient_or_zeros(const at::Tensor& parameter) {
  return parameter.grad().defined() ? parameter.grad() : at::zeros_like(parameter);
}

}  // namespace

bool StepOutcome::finite() const { return std::isfinite(loss) && std::isfinite(gradient_norm); }

OptimizerStep::OptimizerStep(const LossFunction& model, AdamW& optimizer, const TrainerOptions& options, const Peers& peers,
                             std::function<void(int64_t, int64_t)> before_micro_batch)
    : model_(model), optimizer_(optimizer), options_(options), peers_(peers), before_micro_batch_(std::move(before_micro_batch)) {
  if (options.cuda_graph_tokens() > 0 && options.device().is_cuda() && peers.size == 1 && !before_micro_batch_)
    graphed_.emplace(model_, optimizer_.parameters(), options.device(), options.cuda_graph_tokens());
}

StepOutcome OptimizerStep::run(int64_t step, const data::StepBatches& batches, bool stop_asked, const std::function<void()>& meanwhile) {
  auto facts = accumulate(step, batches);  // [loss, stop]
  const at::NoGradGuard no_grad;
  facts = sum_over_ranks(facts, stop_asked);
  const auto gradients = optimizer_.gradients();
  const auto norm = gradient_norm(gradients).to(facts.device());
  const auto skip = at::isfinite(facts.select(0, 0)).logical_and(at::isfinite(norm)).logical_not().to(at::kFloat);
  if (options_.clip_grad_norm()) clip_gradients(gradients, norm, *options_.clip_grad_norm());
  optimizer_.step(learning_rate(options_.schedule(), step, options_.steps()), skip);
  if (meanwhile) meanwhile();
  const auto read = at::cat({facts, norm.to(at::kDouble).reshape({1})}).cpu();
  const double* values = read.const_data_ptr<double>();
  StepOutcome outcome;
  outcome.loss = values[0];
  outcome.stop_asked = values[1] > 0;
  outcome.gradient_norm = values[2];
  // Kept when the step failed: explain_non_finite looks at them.
  if (outcome.finite()) optimizer_.zero_gradients();
  return outcome;
}

void OptimizerStep::stage(const data::StepBatches& batches) {
  const auto first = static_cast<size_t>(peers_.rank);
  if (first < batches.micro_batches.size()) staged_ = to_device(batches.micro_batches[first], options_.device());
}

DeviceBatch OptimizerStep::take_batch(const data::StepBatches& batches, int64_t micro_batch) {
  if (staged_ && micro_batch == peers_.rank) return *std::exchange(staged_, std::nullopt);
  return to_device(batches.micro_batches[static_cast<size_t>(micro_batch)], options_.device());
}

at::Tensor OptimizerStep::accumulate(int64_t step, const data::StepBatches& batches) {
  const double step_tokens = static_cast<double>(std::max<int64_t>(batches.supervised_tokens(), 1));
  const auto count = static_cast<int64_t>(batches.micro_batches.size());
  micro_losses_.clear();
  auto loss = at::zeros({}, at::TensorOptions(at::kDouble).device(options_.device()));
  for (int64_t i = peers_.rank; i < count; i += peers_.size) {
    const auto batch = take_batch(batches, i);
    if (batch.supervised_tokens == 0) continue;
    seed_generators(step, i);
    if (before_micro_batch_) before_micro_batch_(step, i);
    const auto detached = run_micro_batch(batch, step_tokens, count == 1);
    micro_losses_.emplace_back(i, detached);
    loss.add_(detached.to(at::kDouble) / step_tokens);
  }
  return at::stack({loss, at::zeros_like(loss)});
}

at::Tensor OptimizerStep::run_micro_batch(const DeviceBatch& batch, double step_tokens, bool only_one) {
  if (graphed_ && only_one) {
    const auto loss_sum = graphed_->run(batch, step_tokens);
    if (loss_sum) return *loss_sum;
  }
  const auto result = model_(batch);
  (result.loss_sum / step_tokens).backward();
  return result.loss_sum.detach();
}

void OptimizerStep::seed_generators(int64_t step, int64_t micro_batch) const {
  const uint64_t seed = derive_seed(options_.seed(), "dropout", static_cast<uint64_t>(step), static_cast<uint64_t>(micro_batch));
  seed_generator(at::detail::getDefaultCPUGenerator(), seed);
  set_dropout_position(options_.seed(), static_cast<uint64_t>(step), static_cast<uint64_t>(micro_batch));
  if (!options_.device().is_cpu()) seed_generator(at::globalContext().defaultGenerator(options_.device()), seed);
}

at::Tensor OptimizerStep::sum_over_ranks(const at::Tensor& facts, bool stop_asked) {
  auto mine = facts.clone();
  if (stop_asked) mine.select(0, 1).fill_(1.0);
  if (peers_.size <= 1) return mine;
  // One flat float32 buffer: all gradients, then the loss and the wish to stop.
  std::vector<at::Tensor> parts;
  for (const auto& [name, parameter] : optimizer_.parameters()) parts.push_back(gradient_or_zeros(parameter).reshape({-1}).to(at::kFloat));
  parts.push_back(mine.to(at::kFloat));
  auto flat = at::cat(parts);
  peers_.sum(flat);
  int64_t begin = 0;
  for (const auto& [name, parameter] : optimizer_.parameters()) {
    const auto piece = flat.narrow(0, begin, parameter.numel()).view(parameter.sizes());
    begin += parameter.numel();
    auto handle = parameter;
    handle.mutable_grad() = piece.to(parameter.scalar_type());
  }
  return flat.narrow(0, begin, 2).to(at::kDouble);
}

std::string OptimizerStep::explain_non_finite(const data::StepBatches& batches) const {
  for (const auto& [index, loss] : micro_losses_) {
    if (std::isfinite(loss.item<double>())) continue;
    const auto& batch = batches.micro_batches[static_cast<size_t>(index)];
    std::string ids;
    for (size_t i = 0; i < std::min<size_t>(batch.ids.size(), 8); ++i) ids += (i == 0 ? "" : ", ") + std::to_string(batch.ids[i]);
    return "the loss of micro-batch " + std::to_string(index + 1) + " of " + std::to_string(batches.micro_batches.size()) + " (" +
           std::to_string(batch.rows) + " rows x " + std::to_string(batch.length) + " tokens, beginning with token ids " + ids + ")";
  }
  for (const auto& [name, parameter] : optimizer_.parameters())
    if (parameter.grad().defined() && !at::isfinite(parameter.grad()).all().item<bool>()) return "the gradient of " + name;
  return "the norm of all gradients together";
}

}  // namespace graft::train
