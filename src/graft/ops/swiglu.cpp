#include "graft/ops/swiglu.h"

#include <torch/csrc/autograd/custom_function.h>

#include "graft/base/error.h"
#include "graft/ops/elementwise.h"

namespace graft::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct SwiGlu : torch::autograd::Function<SwiGlu> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate, const at::Tensor& up) {
    context->save_for_backward({gate, up});
    return elementwise::swiglu(gate, up);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    auto result = elementwise::swiglu_backward(gradients[0].contiguous(), saved[0], saved[1], {});
    return {result.gate, result.up};
  }
};

}  // namespace

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  if (gate.sizes() != up.sizes()) throw InternalError("swiglu: gate and up differ in shape");
  return SwiGlu::apply(gate.contiguous(), up.contiguous());
}

}  // namespace graft::ops
