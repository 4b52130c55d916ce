#include "graft/app/sampler.h"

#include <ATen/ops/max.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sort.h>

#include <cmath>

#include "graft/base/error.h"

namespace graft::app {
namespace {

void check_number(double value) {
  if (std::isnan(value))
    throw NonFiniteError("the model's logits are not numbers").hint("a weight of the model or adapter is not a number, or too large");
}

}  // namespace

int32_t sample(const at::Tensor& logits, const SamplingOptions& options, RandomStream& stream) {
  const auto scores = logits.to(at::kFloat);
  if (options.temperature <= 0) {
    const auto [best, id] = scores.max(-1);
    check_number(best.item<double>());
    return static_cast<int32_t>(id.item<int64_t>());
  }
  const auto [probabilities, ids] =
      at::softmax((scores.cpu().to(at::kDouble) / options.temperature), -1).sort(/*stable=*/true, -1, /*descending=*/true);
  const double* p = probabilities.const_data_ptr<double>();
  const int64_t* id = ids.const_data_ptr<int64_t>();
  check_number(p[0]);
  int64_t kept = 0;
  double mass = 0;
  while (kept < probabilities.numel() && (kept == 0 || mass < options.top_p)) mass += p[kept++];
  double left = stream.uniform() * mass;
  for (int64_t i = 0; i < kept; ++i) {
    left -= p[i];
    if (left < 0) return static_cast<int32_t>(id[i]);
  }
  return static_cast<int32_t>(id[kept - 1]);
}

}  // namespace graft::app
