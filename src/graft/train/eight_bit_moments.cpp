#include "graft/train/eight_bit_moments.h"

#include "graft/train/memory_plan.h"

namespace graft::train {

bool EightBitMomentStore::suits(const at::Tensor& updated) {
  return updated.numel() >= kSmallestEightBitTensor && updated.scalar_type() != at::kDouble;
}

void EightBitMomentStore::add(const at::Tensor& updated) { all_.push_back({updated, quant::zero_moments(updated)}); }

void EightBitMomentStore::step(const std::vector<at::Tensor>& gradients, const AdamWOptions& options, const AdamWStep& step) {
  const auto rule = quant::adam_rule(step.learning_rate, options.beta1, options.beta2, options.epsilon, options.weight_decay, step.number);
  for (size_t i = 0; i < all_.size(); ++i) {
    if (!gradients[i].defined()) continue;
    const at::Tensor& updated = all_[i].updated;
    const at::Tensor wide = updated.to(at::kFloat);  // itself when it is float32
    quant::eight_bit_adamw(wide, gradients[i].to(at::kFloat).contiguous(), all_[i].moments, rule, step.skip);
    if (!wide.is_same(updated)) updated.copy_(wide);
  }
}

NamedTensors EightBitMomentStore::state(size_t index, const std::string& name) const {
  const auto& moments = all_[index].moments;
  return {{"exp_avg." + name, moments.mean},
          {"exp_avg_absmax." + name, moments.mean_absmax},
          {"exp_avg_sq." + name, moments.square},
          {"exp_avg_sq_absmax." + name, moments.square_absmax}};
}

}  // namespace graft::train
