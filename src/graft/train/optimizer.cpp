#include "graft/train/optimizer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <map>

#include "graft/base/error.h"
#include "graft/base/strings.h"

namespace graft::train {
namespace {

/// What one fused call takes: tensors of one dtype on one device.
struct Group {
  std::vector<at::Tensor> updated, gradients, exp_avg, exp_avg_sq;
};

void run_fused(Group& group, double learning_rate, const AdamWOptions& options, int64_t step, const at::Tensor& skip) {
  // The kernel only reads the step count, so one scalar serves all tensors.
  const auto count = at::full({}, static_cast<double>(step), group.updated.front().options().dtype(at::kFloat));
  const std::vector<at::Tensor> counts(group.updated.size(), count);
  const auto found = skip.defined() ? std::optional<at::Tensor>(skip.to(group.updated.front().device())) : std::nullopt;
  at::_fused_adamw_(group.updated, group.gradients, group.exp_avg, group.exp_avg_sq, {}, counts, learning_rate, options.beta1,
                    options.beta2, options.weight_decay, options.epsilon, /*amsgrad=*/false, /*maximize=*/false,
                    /*grad_scale=*/std::nullopt, found);
}

}  // namespace

AdamW::AdamW(NamedTensors parameters, AdamWOptions options) : parameters_(std::move(parameters)), options_(options) {
  if (parameters_.empty()) throw DataError("there is nothing to train: no parameter was given to the optimizer");
  const at::NoGradGuard no_grad;
  for (const auto& [name, parameter] : parameters_) {
    if (!parameter.is_floating_point() || !parameter.is_contiguous())
      throw DataError("a trainable parameter must be a contiguous floating-point tensor").at(name);
    Slot slot;
    slot.has_master = options_.float32_masters && parameter.scalar_type() != at::kFloat && parameter.scalar_type() != at::kDouble;
    slot.updated = slot.has_master ? parameter.detach().to(at::kFloat) : parameter.detach();
    slot.exp_avg = at::zeros_like(slot.updated);
    slot.exp_avg_sq = at::zeros_like(slot.updated);
    slots_.push_back(std::move(slot));
  }
}

void AdamW::step(double learning_rate, const at::Tensor& skip) {
  const at::NoGradGuard no_grad;
  ++steps_done_;
  std::map<std::pair<at::ScalarType, std::string>, Group> groups;
  for (size_t i = 0; i < slots_.size(); ++i) {
    const auto& gradient = parameters_[i].second.grad();
    if (!gradient.defined()) continue;
    auto& slot = slots_[i];
    Group& group = groups[{slot.updated.scalar_type(), slot.updated.device().str()}];
    group.updated.push_back(slot.updated);
    group.gradients.push_back(gradient.to(slot.updated.scalar_type()).contiguous());
    group.exp_avg.push_back(slot.exp_avg);
    group.exp_avg_sq.push_back(slot.exp_avg_sq);
  }
  for (auto& [key, group] : groups) run_fused(group, learning_rate, options_, steps_done_, skip);
  for (size_t i = 0; i < slots_.size(); ++i)
    if (slots_[i].has_master) parameters_[i].second.detach().copy_(slots_[i].updated);
}

void AdamW::zero_gradients() {
  for (auto& [name, parameter] : parameters_) parameter.mutable_grad().reset();
}

std::vector<at::Tensor> AdamW::gradients() const {
  std::vector<at::Tensor> gradients;
  for (const auto& [name, parameter] : parameters_) gradients.push_back(parameter.grad());
  return gradients;
}

NamedTensors AdamW::state() const {
  NamedTensors state;
  state.emplace_back("step", at::full({1}, steps_done_, at::kLong));
  for (size_t i = 0; i < slots_.size(); ++i) {
    const auto& name = parameters_[i].first;
    state.emplace_back("exp_avg." + name, slots_[i].exp_avg);
    state.emplace_back("exp_avg_sq." + name, slots_[i].exp_avg_sq);
    if (slots_[i].has_master) state.emplace_back("master." + name, slots_[i].updated);
  }
  return state;
}

void AdamW::load_state(const NamedTensors& state, const std::string& origin) {
  const at::NoGradGuard no_grad;
  std::map<std::string, at::Tensor> saved(state.begin(), state.end());
  auto expected = this->state();
  std::vector<std::string> names;
  for (const auto& [name, tensor] : expected) names.push_back(name);
  for (auto& [name, target] : expected) {
    const auto found = saved.find(name);
    if (found == saved.end()) throw DataError("the saved optimizer state has no tensor of this name").at(origin + ": " + name);
    if (found->second.sizes() != target.sizes() || found->second.scalar_type() != target.scalar_type())
      throw DataError("the saved optimizer state has another shape or dtype than this run's").at(origin + ": " + name);
    if (name == "step")
      steps_done_ = found->second.item<int64_t>();
    else
      target.copy_(found->second);
    saved.erase(found);
  }
  if (!saved.empty())
    throw DataError("the saved optimizer state has a tensor this run does not train")
        .at(origin + ": " + saved.begin()->first)
        .nearest(nearest_name(saved.begin()->first, names));
}

void AdamW::refresh_masters() {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < slots_.size(); ++i)
    if (slots_[i].has_master) slots_[i].updated.copy_(parameters_[i].second.detach());
}

int64_t AdamW::state_bytes() const {
  int64_t bytes = 0;
  for (const auto& slot : slots_) bytes += static_cast<int64_t>(slot.exp_avg.nbytes() * 2 + (slot.has_master ? slot.updated.nbytes() : 0));
  return bytes;
}

}  // namespace graft::train
