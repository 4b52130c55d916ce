#include "graft/train/optimizer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/full.h>

#include <map>

#include "graft/base/error.h"
#include "graft/base/strings.h"
#include "graft/train/eight_bit_moments.h"

namespace graft::train {

AdamW::AdamW(NamedTensors parameters, AdamWOptions options) : parameters_(std::move(parameters)), options_(options) {
  if (parameters_.empty()) throw DataError("there is nothing to train: no parameter was given to the optimizer");
  stores_.push_back({std::make_unique<FullMoments>()});
  if (options_.moments == MomentFormat::kInt8) stores_.push_back({std::make_unique<EightBitMomentStore>()});
  const at::NoGradGuard no_grad;
  for (const auto& [name, parameter] : parameters_) {
    if (!parameter.is_floating_point() || !parameter.is_contiguous())
      throw DataError("a trainable parameter must be a contiguous floating-point tensor").at(name);
    if (!parameter.requires_grad())
      throw UsageError("this parameter requires no gradient: it would stay as it is, without a word")
          .at(name)
          .hint("leave it out, or make it trainable first; an adapter's biases and norms are trained while it is active: activate() it");
    Slot slot;
    slot.has_master = options_.float32_masters && parameter.scalar_type() != at::kFloat && parameter.scalar_type() != at::kDouble;
    slot.updated = slot.has_master ? parameter.detach().to(at::kFloat) : parameter.detach();
    slot.store = store_for(slot.updated);
    slot.index = stores_[slot.store].count++;
    stores_[slot.store].moments->add(slot.updated);
    slots_.push_back(std::move(slot));
  }
}

size_t AdamW::store_for(const at::Tensor& updated) {
  return options_.moments == MomentFormat::kInt8 && EightBitMomentStore::suits(updated) ? 1 : 0;
}

void AdamW::step(double learning_rate, const at::Tensor& skip) {
  const at::NoGradGuard no_grad;
  ++steps_done_;
  std::vector<std::vector<at::Tensor>> gradients;
  for (const Store& store : stores_) gradients.emplace_back(store.count);
  for (size_t i = 0; i < slots_.size(); ++i) gradients[slots_[i].store][slots_[i].index] = parameters_[i].second.grad();
  for (size_t i = 0; i < stores_.size(); ++i) stores_[i].moments->step(gradients[i], options_, {learning_rate, steps_done_, skip});
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
    for (auto& tensor : stores_[slots_[i].store].moments->state(slots_[i].index, name)) state.push_back(std::move(tensor));
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
  for (const auto& [name, tensor] : state())
    if (name != "step") bytes += static_cast<int64_t>(tensor.nbytes());
  return bytes;
}

}  // namespace graft::train
