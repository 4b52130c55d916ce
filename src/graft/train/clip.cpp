#include "graft/train/clip.h"

#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

namespace graft::train {
namespace {

bool is_double(const at::Tensor& tensor) { return tensor.scalar_type() == at::kDouble; }

std::vector<at::Tensor> defined_only(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> defined;
  for (const auto& tensor : tensors)
    if (tensor.defined()) defined.push_back(tensor);
  return defined;
}

}  // namespace

at::Tensor gradient_norm(const std::vector<at::Tensor>& gradients) {
  const auto defined = defined_only(gradients);
  if (defined.empty()) return at::zeros({}, at::kFloat);
  const auto norms = at::_foreach_norm(defined, 2, std::any_of(defined.begin(), defined.end(), is_double) ? at::kDouble : at::kFloat);
  return at::linalg_vector_norm(at::stack(norms).to(at::kDouble), 2).to(at::kFloat);
}

void clip_gradients(const std::vector<at::Tensor>& gradients, const at::Tensor& norm, double max_norm) {
  const auto defined = defined_only(gradients);
  if (defined.empty()) return;
  const auto factor = at::where(at::isfinite(norm), (max_norm / (norm + 1e-6)).clamp_max(1.0), 1.0);
  at::_foreach_mul_(defined, factor.to(defined.front().device()));
}

}  // namespace graft::train
