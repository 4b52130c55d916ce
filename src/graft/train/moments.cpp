#include "graft/train/moments.h"

#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros_like.h>

#include <map>
#include <optional>

namespace graft::train {
namespace {

/// What one fused call takes: tensors of one dtype on one device.
struct Group {
  std::vector<at::Tensor> updated, gradients, exp_avg, exp_avg_sq;
};

void run_fused(Group& group, const AdamWOptions& options, const AdamWStep& step) {
  // The kernel only reads the step count, so one scalar serves all tensors.
  const auto count = at::full({}, static_cast<double>(step.number), group.updated.front().options().dtype(at::kFloat));
  const std::vector<at::Tensor> counts(group.updated.size(), count);
  const auto found = step.skip.defined() ? std::optional<at::Tensor>(step.skip.to(group.updated.front().device())) : std::nullopt;
  at::_fused_adamw_(group.updated, group.gradients, group.exp_avg, group.exp_avg_sq, {}, counts, step.learning_rate, options.beta1,
                    options.beta2, options.weight_decay, options.epsilon, /*amsgrad=*/false, /*maximize=*/false,
                    /*grad_scale=*/std::nullopt, found);
}

}  // namespace

void FullMoments::add(const at::Tensor& updated) { all_.push_back({updated, at::zeros_like(updated), at::zeros_like(updated)}); }

void FullMoments::step(const std::vector<at::Tensor>& gradients, const AdamWOptions& options, const AdamWStep& step) {
  std::map<std::pair<at::ScalarType, std::string>, Group> groups;
  for (size_t i = 0; i < all_.size(); ++i) {
    if (!gradients[i].defined()) continue;
    const Averages& averages = all_[i];
    Group& group = groups[{averages.updated.scalar_type(), averages.updated.device().str()}];
    group.updated.push_back(averages.updated);
    group.gradients.push_back(gradients[i].to(averages.updated.scalar_type()).contiguous());
    group.exp_avg.push_back(averages.mean);
    group.exp_avg_sq.push_back(averages.square);
  }
  for (auto& [key, group] : groups) run_fused(group, options, step);
}

NamedTensors FullMoments::state(size_t index, const std::string& name) const {
  return {{"exp_avg." + name, all_[index].mean}, {"exp_avg_sq." + name, all_[index].square}};
}

}  // namespace graft::train
