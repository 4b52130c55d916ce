#include "graft/ops/lora_linear.h"

#include <ATen/Functions.h>
#include <torch/csrc/autograd/custom_function.h>

#include "graft/base/error.h"
#include "graft/ops/linear_group.h"

namespace graft::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Inputs that are variables, in order: x, the bias when there is one, the factors.
struct LoraLinear : torch::autograd::Function<LoraLinear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const std::optional<at::Tensor>& bias, at::TensorList factors,
                            const c10::intrusive_ptr<LinearGroup>& group, int64_t form) {
    variable_list saved{x};
    at::Tensor y = group->forward(x, static_cast<LinearForm>(form), &saved).front();
    if (factors.empty()) saved.clear();  // x·Wᵀ alone needs nothing but W
    context->save_for_backward(std::move(saved));
    context->saved_data["group"] = c10::IValue::make_capsule(group);
    context->saved_data["first_factor"] = bias.has_value() ? 2 : 1;
    context->saved_data["factors"] = static_cast<int64_t>(factors.size());
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    if (at::GradMode::is_enabled())
      throw UsageError("an adapted Linear cannot be differentiated twice").hint("call backward() without create_graph");
    const auto group = c10::static_intrusive_pointer_cast<LinearGroup>(context->saved_data["group"].toCapsule());
    const auto saved = context->get_saved_variables();
    const auto first_factor = static_cast<size_t>(context->saved_data["first_factor"].toInt());
    const auto count = static_cast<size_t>(context->saved_data["factors"].toInt());
    const at::Tensor g = as_matrix(gradients[0]);
    auto input_shape = gradients[0].sizes().vec();
    input_shape.back() = group->input_width();
    std::vector<bool> wanted;
    for (size_t i = 0; i < count; ++i) wanted.push_back(context->needs_input_grad(first_factor + i));
    variable_list result{{}, {}};
    const auto narrow = group->narrow_gradients({g}, saved, 1);
    if (context->needs_input_grad(0)) result[0] = group->input_gradient({g}, narrow, saved, 1).view(input_shape);
    if (first_factor == 2 && context->needs_input_grad(1)) result[1] = g.sum(0);
    const FactoredInput x{saved.empty() ? at::Tensor() : as_matrix(saved[0]), {}, {}};
    const auto factors = group->factor_gradients({g}, narrow, x, saved, 1, wanted);
    result.insert(result.end(), factors.begin(), factors.end());
    result.insert(result.end(), {at::Tensor(), at::Tensor()});  // group, form
    return result;
  }
};

}  // namespace

at::Tensor lora_linear(const at::Tensor& x, const std::shared_ptr<const FrozenWeight>& weight, const at::Tensor& bias, LinearForm form,
                       const std::vector<LoraTerm>& terms) {
  auto group = c10::make_intrusive<LinearGroup>(std::vector<LinearOperand>{{weight, bias, terms}});
  const auto factors = group->factors();
  bool needs_gradient = x.requires_grad() || (bias.defined() && bias.requires_grad());
  for (const at::Tensor& factor : factors) needs_gradient = needs_gradient || factor.requires_grad();
  if (!needs_gradient || !at::GradMode::is_enabled()) {
    at::NoGradGuard no_graph;
    return group->forward(x, form, nullptr).front();
  }
  const std::optional<at::Tensor> optional_bias = bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt;
  return LoraLinear::apply(x, optional_bias, at::TensorList(factors), group, static_cast<int64_t>(form));
}

at::Tensor lora_embedding(const at::Tensor& ids, const FrozenWeight& weight, const std::vector<LoraTerm>& terms, int64_t padding_idx,
                          bool scale_grad_by_freq) {
  at::Tensor rows;
  {
    at::NoGradGuard frozen;
    rows = weight.rows(ids);
  }
  for (const LoraTerm& term : terms) {
    const at::Tensor narrow = at::embedding(term.a.t(), ids, padding_idx, scale_grad_by_freq) * term.scale;
    rows = rows + narrow.matmul(term.b.t()).to(rows.scalar_type());
  }
  return rows;
}

}  // namespace graft::ops
