#include "graft/ops/norm_linears.h"

#include <torch/csrc/autograd/custom_function.h>

#include "graft/base/error.h"
#include "graft/ops/elementwise.h"
#include "graft/ops/rms_norm.h"
#include "graft/ops/side_by_side.h"

namespace graft::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// What the graph keeps besides tensors.
struct Call : torch::CustomClassHolder {
  Call(std::vector<LinearOperand> operands, double norm_epsilon) : group(std::move(operands)), epsilon(norm_epsilon) {}
  LinearGroup group;
  double epsilon;
};

variable_list shaped(std::vector<at::Tensor> outputs, const at::Tensor& x) {
  for (at::Tensor& y : outputs) {
    auto shape = x.sizes().vec();
    shape.back() = y.size(-1);
    y = y.view(shape);
  }
  return outputs;
}

struct NormLinearsFunction : torch::autograd::Function<NormLinearsFunction> {
  static variable_list forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& norm_weight, at::TensorList /*factors*/,
                               const c10::intrusive_ptr<Call>& call) {
    const auto rows = x.reshape({-1, x.size(-1)}).contiguous();
    const auto normalised = elementwise::rms_norm(rows, {}, norm_weight, call->epsilon);
    variable_list saved{x, norm_weight, normalised.reciprocal_root};
    auto outputs = call->group.forward(normalised.output, LinearForm::kOwn, &saved);
    context->save_for_backward(std::move(saved));
    context->saved_data["call"] = c10::IValue::make_capsule(call);
    auto result = shaped(std::move(outputs), x);
    result.push_back(x.detach());
    return result;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    if (at::GradMode::is_enabled())
      throw UsageError("norm_linears cannot be differentiated twice").hint("call backward() without create_graph");
    const auto call = c10::static_intrusive_pointer_cast<Call>(context->saved_data["call"].toCapsule());
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &norm_weight = saved[1], &root = saved[2];
    const auto rows = x.reshape({-1, x.size(-1)}).contiguous();
    std::vector<at::Tensor> flat;
    for (size_t i = 0; i + 1 < gradients.size(); ++i) flat.push_back(gradients[i].reshape({rows.size(0), -1}));
    if (!call->group.multiplies_at_once(rows) || !side_by_side(flat, 1).defined())
      for (at::Tensor& gradient : flat) gradient = gradient.contiguous();
    const auto residual = gradients.back().reshape(rows.sizes()).contiguous();
    std::vector<bool> wanted;
    for (size_t i = 0; i < call->group.factors().size(); ++i) wanted.push_back(context->needs_input_grad(2 + i));
    const auto narrow = call->group.narrow_gradients(flat, saved, 3);
    variable_list result(2);
    if (context->needs_input_grad(0)) {
      const auto gradient = call->group.input_gradient(flat, narrow, saved, 3);
      result[0] = elementwise::rms_norm_input_gradient(gradient, rows, norm_weight, root, residual).view(x.sizes());
    }
    const auto factors = call->group.factor_gradients(flat, narrow, {rows, root, norm_weight}, saved, 3, wanted);
    result.insert(result.end(), factors.begin(), factors.end());
    result.emplace_back();  // call
    return result;
  }
};

}  // namespace

NormLinears norm_linears(const at::Tensor& x, const at::Tensor& norm_weight, double epsilon, const std::vector<LinearParameters>& linears) {
  auto operands = norm_weight.requires_grad() ? std::nullopt : look_through(linears, x);
  if (!operands) {
    const auto normalised = rms_norm(x, norm_weight, epsilon);
    NormLinears result{{}, x, false};
    for (const LinearParameters& linear : linears) result.outputs.push_back(apply_linear(linear, normalised));
    return result;
  }
  auto call = c10::make_intrusive<Call>(std::move(*operands), epsilon);
  const auto factors = call->group.factors();
  bool needs_gradient = x.requires_grad();
  for (const at::Tensor& factor : factors) needs_gradient = needs_gradient || factor.requires_grad();
  if (needs_gradient && at::GradMode::is_enabled()) {
    auto outputs = NormLinearsFunction::apply(x, norm_weight, at::TensorList(factors), call);
    const at::Tensor residual = outputs.back();
    outputs.pop_back();
    return {outputs, x.requires_grad() ? residual : x, call->group.multiplies_at_once(x)};
  }
  const at::NoGradGuard no_graph;
  const auto rows = x.reshape({-1, x.size(-1)}).contiguous();
  return {shaped(call->group.forward(elementwise::rms_norm(rows, {}, norm_weight, epsilon).output, LinearForm::kOwn, nullptr), x), x,
          false};
}

}  // namespace graft::ops
