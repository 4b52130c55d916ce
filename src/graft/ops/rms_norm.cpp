#include "graft/ops/rms_norm.h"

#include <torch/csrc/autograd/custom_function.h>

#include <string>

#include "graft/base/error.h"
#include "graft/ops/elementwise.h"

namespace graft::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct RmsNorm : torch::autograd::Function<RmsNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight, double epsilon) {
    const auto rows = input.reshape({-1, input.size(-1)}).contiguous();
    const auto normalised = elementwise::rms_norm(rows, {}, weight, epsilon);
    context->save_for_backward({input, weight, normalised.reciprocal_root});
    return normalised.output.view(input.sizes());
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &weight = saved[1], &root = saved[2];
    const auto rows = saved[0].reshape({-1, saved[0].size(-1)}).contiguous();
    const auto gradient = gradients[0].reshape(rows.sizes()).contiguous();
    variable_list result(3);
    if (context->needs_input_grad(0))
      result[0] = elementwise::rms_norm_input_gradient(gradient, rows, weight, root, {}).view(saved[0].sizes());
    if (context->needs_input_grad(1)) result[1] = elementwise::rms_norm_weight_gradient(gradient, rows, root, weight.scalar_type());
    return result;
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
