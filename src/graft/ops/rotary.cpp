#include "graft/ops/rotary.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "graft/base/error.h"
#include "graft/ops/elementwise.h"

namespace graft::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor rotated(const at::Tensor& input, const at::Tensor& cos, const at::Tensor& sin, bool inverse) {
  const auto whole = input.contiguous();
  auto output = at::empty_like(whole);
  elementwise::rotate(whole, cos, sin, inverse, output);
  return output;
}

struct Rotary : torch::autograd::Function<Rotary> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& cos, const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return rotated(input, cos, sin, /*inverse=*/false);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    return {rotated(gradients[0], saved[0], saved[1], /*inverse=*/true), at::Tensor(), at::Tensor()};
  }
};

struct RotarySideBySide : torch::autograd::Function<RotarySideBySide> {
  static variable_list forward(AutogradContext* context, const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                               const at::Tensor& cos, const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return {rotated(query, cos, sin, /*inverse=*/false), rotated(key, cos, sin, /*inverse=*/false), value.detach()};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const int64_t rows = gradients[0].size(0), length = gradients[0].size(1), size = gradients[0].size(3);
    int64_t heads = 0, head = 0;
    for (const at::Tensor& gradient : gradients) heads += gradient.size(2);
    const auto together = at::empty({rows, length, heads, size}, gradients[0].options());
    for (at::Tensor& gradient : gradients) {
      auto columns = together.narrow(2, head, gradient.size(2));
      head += gradient.size(2);
      if (head < heads)
        elementwise::rotate(gradient.contiguous(), saved[0], saved[1], /*inverse=*/true, columns);
      else
        elementwise::place(gradient.contiguous(), columns);
      gradient = columns;
    }
    gradients.resize(5);  // cos, sin
    return gradients;
  }
};

void check(const at::Tensor& input, const at::Tensor& cos) {
  if (input.dim() != 4 || input.size(3) != 2 * cos.size(-1) || input.size(1) != cos.size(1))
    throw InternalError("rotary: the tables do not fit the input");
}

}  // namespace

at::Tensor rotary(const at::Tensor& input, const at::Tensor& cos, const at::Tensor& sin) {
  check(input, cos);
  return Rotary::apply(input, cos.contiguous(), sin.contiguous());
}

Heads rotary_side_by_side(const Heads& heads, const at::Tensor& cos, const at::Tensor& sin) {
  check(heads.query, cos);
  check(heads.key, cos);
  check(heads.value, cos);
  auto turned = RotarySideBySide::apply(heads.query, heads.key, heads.value, cos.contiguous(), sin.contiguous());
  return {turned[0], turned[1], turned[2]};
}

}  // namespace graft::ops
