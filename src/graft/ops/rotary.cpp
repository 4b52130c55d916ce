#include "graft/ops/rotary.h"

#include <torch/csrc/autograd/custom_function.h>

#include "graft/base/error.h"
#include "graft/ops/elementwise_cpu.h"

namespace graft::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor rotate(const at::Tensor& input, const at::Tensor& cos, const at::Tensor& sin) {
  if (cpu::is_fast(cos) && cpu::is_fast(sin) && input.scalar_type() == at::kFloat && input.is_cpu()) {
    const auto dense = input.contiguous();
    auto output = at::empty_like(dense);
    cpu::rotary(dense, cos, sin, output);
    return output;
  }
  const int64_t half = input.size(-1) / 2;
  const auto first = input.narrow(-1, 0, half), second = input.narrow(-1, half, half);
  const auto c = cos.unsqueeze(2), s = sin.unsqueeze(2);
  return at::cat({first * c - second * s, second * c + first * s}, -1);
}

struct Rotary : torch::autograd::Function<Rotary> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& cos, const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return rotate(input, cos, sin);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    return {rotate(gradients[0], saved[0], saved[1].neg()), at::Tensor(), at::Tensor()};  // the inverse rotation
  }
};

}  // namespace

at::Tensor rotary(const at::Tensor& input, const at::Tensor& cos, const at::Tensor& sin) {
  if (input.dim() != 4 || input.size(3) != 2 * cos.size(-1) || input.size(1) != cos.size(1)) {
    throw InternalError("rotary: the tables do not fit the input");
  }
  return Rotary::apply(input, cos, sin);
}

}  // namespace graft::ops
