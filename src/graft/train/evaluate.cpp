#include "graft/train/evaluate.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

namespace graft::train {

Evaluation evaluate(const LossFunction& model, const std::vector<data::Batch>& batches, at::Device device,
                    const std::function<bool()>& stop, size_t first, size_t stride) {
  const at::NoGradGuard no_grad;
  Evaluation result;
  // Summed on the device: one synchronisation for the whole evaluation. float64 because there may be millions of tokens.
  auto loss = at::zeros({}, at::TensorOptions(at::kDouble).device(device));
  auto correct = at::zeros({}, at::TensorOptions(at::kLong).device(device));
  for (size_t i = first; i < batches.size(); i += stride) {
    if (stop && stop()) {
      result.complete = false;
      break;
    }
    const auto batch = to_device(batches[i], device, /*training=*/false);
    result.tokens += batch.tokens;
    if (batch.supervised_tokens == 0) continue;
    result.supervised_tokens += batch.supervised_tokens;
    const auto output = model(batch);
    loss.add_(output.loss_sum.detach());
    if (output.correct.defined()) correct.add_(output.correct);
  }
  result.loss_sum = loss.item<double>();
  result.correct = correct.item<int64_t>();
  return result;
}

}  // namespace graft::train
