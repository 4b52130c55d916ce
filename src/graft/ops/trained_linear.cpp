#include "graft/ops/trained_linear.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/linear.h>
#include <torch/csrc/autograd/custom_function.h>

#include "graft/base/error.h"
#include "graft/ops/products.h"
#include "graft/ops/rows.h"

namespace graft::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct TrainedLinear : torch::autograd::Function<TrainedLinear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias) {
    context->save_for_backward({x, weight});
    context->saved_data["has_bias"] = bias.has_value();  // only then it counts as an input that may need a gradient
    auto shape = x.sizes().vec();
    shape.back() = weight.size(0);
    return at::_unsafe_view(product(as_matrix(x), weight.t(), bias.value_or(at::Tensor())), shape);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    if (at::GradMode::is_enabled())
      throw UsageError("a trained Linear cannot be differentiated twice").hint("call backward() without create_graph");
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1];
    const at::Tensor g = as_matrix(gradients[0]);
    variable_list result(3);
    if (context->needs_input_grad(0)) result[0] = product(g, weight).view(x.sizes());
    if (context->needs_input_grad(1)) result[1] = product(g.t(), as_matrix(x));
    if (context->saved_data["has_bias"].toBool() && context->needs_input_grad(2)) result[2] = g.sum(0);
    return result;
  }
};

}  // namespace

at::Tensor trained_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const auto optional_bias = bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt;
  if (!has_onednn_products(x) || weight.scalar_type() != x.scalar_type()) return at::linear(x, weight, optional_bias);
  return TrainedLinear::apply(x, weight, optional_bias);
}

}  // namespace graft::ops
