#include "graft/ops/rms_norm.h"

#include <torch/csrc/autograd/custom_function.h>

#include <string>

#include "graft/base/error.h"
#include "graft/ops/elementwise_cpu.h"

namespace graft::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// (output, reciprocal root [rows, 1] float32) of a contiguous [rows, width] input.
std::pair<at::Tensor, at::Tensor> forward_rows(const at::Tensor& input, const at::Tensor& weight, double epsilon) {
  if (cpu::is_fast(input) && cpu::is_fast(weight)) {
    auto output = at::empty_like(input);
    auto reciprocal_root = at::empty({input.size(0), 1}, input.options());
    cpu::rms_norm_forward(input, weight, static_cast<float>(epsilon), output, reciprocal_root);
    return {output, reciprocal_root};
  }
  const auto wide = input.to(at::kFloat);
  auto reciprocal_root = at::rsqrt(wide.square().mean(-1, /*keepdim=*/true).add_(epsilon));
  auto output = (wide * reciprocal_root).to(input.scalar_type()) * weight.to(input.scalar_type());
  return {output, reciprocal_root};
}

/// dL/dx = r (w g − n mean(w g n)) with n = x r and r the reciprocal root; dL/dw = Σ_rows g n.
std::pair<at::Tensor, at::Tensor> backward_rows(const at::Tensor& gradient, const at::Tensor& input, const at::Tensor& weight,
                                                const at::Tensor& reciprocal_root, bool needs_input, bool needs_weight) {
  at::Tensor input_gradient, weight_gradient;
  if (needs_input && !needs_weight && cpu::is_fast(gradient) && cpu::is_fast(input) && cpu::is_fast(weight)) {
    input_gradient = at::empty_like(input);
    cpu::rms_norm_backward(gradient, input, weight, reciprocal_root, input_gradient);
    return {input_gradient, weight_gradient};
  }
  const auto normalised = input.to(at::kFloat) * reciprocal_root;
  if (needs_input) {
    const auto scaled = gradient.to(at::kFloat) * weight.to(at::kFloat);
    const auto projection = (scaled * normalised).mean(-1, /*keepdim=*/true);
    input_gradient = (scaled - normalised * projection).mul_(reciprocal_root).to(input.scalar_type());
  }
  if (needs_weight) {
    weight_gradient = (gradient.to(at::kFloat) * normalised.to(input.scalar_type()).to(at::kFloat)).sum(0).to(weight.scalar_type());
  }
  return {input_gradient, weight_gradient};
}

struct RmsNorm : torch::autograd::Function<RmsNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight, double epsilon) {
    const auto rows = input.reshape({-1, input.size(-1)}).contiguous();
    auto [output, reciprocal_root] = forward_rows(rows, weight, epsilon);
    context->save_for_backward({input, weight, reciprocal_root});
    return output.view(input.sizes());
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto rows = saved[0].reshape({-1, saved[0].size(-1)}).contiguous();
    const auto gradient = gradients[0].reshape(rows.sizes()).contiguous();
    auto [input_gradient, weight_gradient] =
        backward_rows(gradient, rows, saved[1], saved[2], context->needs_input_grad(0), context->needs_input_grad(1));
    if (input_gradient.defined()) input_gradient = input_gradient.view(saved[0].sizes());
    return {input_gradient, weight_gradient, at::Tensor()};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& input, const at::Tensor& weight, double epsilon) {
  if (input.dim() == 0 || input.size(-1) != weight.numel()) {
    throw DataError("rms_norm: input is " + std::to_string(input.dim() == 0 ? 0 : input.size(-1)) + " wide but weight has " +
                    std::to_string(weight.numel()) + " entries")
        .hint("the weight seems to be from another layer or model");
  }
  return RmsNorm::apply(input, weight, epsilon);
}

}  // namespace graft::ops
