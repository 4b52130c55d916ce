#include "graft/ops/rotary.h"

#include <torch/csrc/autograd/custom_function.h>

#include "graft/base/error.h"
#include "graft/ops/elementwise.h"

namespace graft::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Rotary : torch::autograd::Function<Rotary> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& cos, const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return elementwise::rotate(input.contiguous(), cos, sin, /*inverse=*/false);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    return {elementwise::rotate(gradients[0].contiguous(), saved[0], saved[1], /*inverse=*/true), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor rotary(const at::Tensor& input, const at::Tensor& cos, const at::Tensor& sin) {
  if (input.dim() != 4 || input.size(3) != 2 * cos.size(-1) || input.size(1) != cos.size(1)) {
    throw InternalError("rotary: the tables do not fit the input");
  }
  return Rotary::apply(input, cos.contiguous(), sin.contiguous());
}

}  // namespace graft::ops
