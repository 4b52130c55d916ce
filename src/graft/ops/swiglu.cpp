#include "graft/ops/swiglu.h"

#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>
#include <torch/csrc/autograd/custom_function.h>

#include "graft/base/error.h"
#include "graft/ops/elementwise_cpu.h"

namespace graft::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct SwiGlu : torch::autograd::Function<SwiGlu> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate, const at::Tensor& up) {
    context->save_for_backward({gate, up});
    if (cpu::is_fast(gate) && cpu::is_fast(up)) {
      auto output = at::empty_like(gate);
      cpu::swiglu_forward(gate, up, output);
      return output;
    }
    return at::silu(gate).mul_(up);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &gate = saved[0], &up = saved[1];
    const auto gradient = gradients[0].contiguous();
    if (cpu::is_fast(gate) && cpu::is_fast(up) && cpu::is_fast(gradient)) {
      auto gate_gradient = at::empty_like(gate), up_gradient = at::empty_like(up);
      cpu::swiglu_backward(gradient, gate, up, gate_gradient, up_gradient);
      return {gate_gradient, up_gradient};
    }
    return {at::silu_backward(gradient * up, gate), at::silu(gate).mul_(gradient)};
  }
};

}  // namespace

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  if (gate.sizes() != up.sizes()) throw InternalError("swiglu: gate and up differ in shape");
  return SwiGlu::apply(gate, up);
}

}  // namespace graft::ops
