#include "graft/ops/norm_gated_mlp.h"

#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/graph_task.h>

#include <algorithm>

#include "graft/base/error.h"
#include "graft/ops/elementwise.h"
#include "graft/ops/rms_norm.h"
#include "graft/ops/swiglu.h"

namespace graft::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Call : torch::CustomClassHolder {
  Call(std::vector<LinearOperand> gate_up, std::vector<LinearOperand> last, double norm_epsilon, Pass which)
      : in(std::move(gate_up)), down(std::move(last)), epsilon(norm_epsilon), pass(which) {}
  LinearGroup in, down;
  double epsilon;
  Pass pass;
};

struct Forward {
  at::Tensor output;  ///< [T, width]
  elementwise::Normalised normalised;
  at::Tensor gate, up;  ///< bases: their low-rank parts may be apart
};

/// `saved_in`, `saved_down` may be null.
Forward run(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& norm_weight, const Call& call, variable_list* saved_in,
            variable_list* saved_down) {
  Forward result;
  result.normalised = elementwise::rms_norm(x, delta, norm_weight, call.epsilon);
  const auto wide = call.in.forward_apart(result.normalised.output, saved_in);
  result.normalised.output.reset();
  result.gate = wide[0].base;
  result.up = wide[1].base;
  if (!call.pass.gradient_only) {
    variable_list low_rank;
    const auto product = elementwise::swiglu(wide[0], wide[1]);
    result.output = call.down.forward_onto(result.normalised.sum, product, &low_rank);
    if (call.pass.kept != nullptr && !low_rank.empty()) call.pass.kept->push_back(low_rank.front());
    if (saved_down != nullptr) *saved_down = std::move(low_rank);
    return result;
  }
  if (call.pass.kept != nullptr && call.pass.kept->size() == 1)
    call.down.save_again(call.pass.kept->front(), result.gate, saved_down);
  else
    call.down.save_again({}, elementwise::swiglu(wide[0], wide[1]), saved_down);
  result.output = at::empty_like(result.normalised.sum);
  return result;
}

at::Tensor as_rows(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}).contiguous(); }

struct NormGatedMlp : torch::autograd::Function<NormGatedMlp> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& delta, const at::Tensor& norm_weight,
                            at::TensorList /*factors*/, const c10::intrusive_ptr<Call>& call) {
    variable_list saved_in, saved_down;
    auto pass = run(as_rows(x), as_rows(delta), norm_weight, *call, &saved_in, &saved_down);
    variable_list saved{pass.normalised.sum, norm_weight, pass.normalised.reciprocal_root, pass.gate, pass.up};
    context->saved_data["first_down"] = static_cast<int64_t>(saved.size() + saved_in.size());
    saved.insert(saved.end(), saved_in.begin(), saved_in.end());
    saved.insert(saved.end(), saved_down.begin(), saved_down.end());
    context->save_for_backward(std::move(saved));
    context->saved_data["call"] = c10::IValue::make_capsule(call);
    return pass.output.view(x.sizes());
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    if (at::GradMode::is_enabled())
      throw UsageError("norm_gated_mlp cannot be differentiated twice").hint("call backward() without create_graph");
    const auto call = c10::static_intrusive_pointer_cast<Call>(context->saved_data["call"].toCapsule());
    const auto saved = context->get_saved_variables();
    const auto &sum = saved[0], &norm_weight = saved[1], &root = saved[2], &gate = saved[3], &up = saved[4];
    const auto first_down = static_cast<size_t>(context->saved_data["first_down"].toInt());
    const at::Tensor g = as_rows(gradients[0]);
    const bool wants_input = context->needs_input_grad(0) || context->needs_input_grad(1);

    const auto wanted_in = wanted(context, 3, call->in.factors().size());
    const auto wanted_down = wanted(context, 3 + wanted_in.size(), call->down.factors().size());
    const bool wants_in = wants_input || std::find(wanted_in.begin(), wanted_in.end(), true) != wanted_in.end();

    const auto down_narrow = call->down.narrow_gradients({g}, saved, first_down);
    elementwise::SwiGluGradients inner;
    const auto wide_gate = call->in.apart_again(0, gate, saved, 5), wide_up = call->in.apart_again(1, up, saved, 5);
    if (wants_in) {
      const auto product_gradient = call->down.input_gradient_apart(g, down_narrow, saved, first_down);
      inner = elementwise::swiglu_backward(product_gradient, wide_gate, wide_up,
                                           {/*in_place=*/!torch::autograd::get_current_graph_task_keep_graph(), /*contracts=*/true});
    } else if (call->down.needs_input(wanted_down)) {
      inner.output = elementwise::swiglu(wide_gate, wide_up);
    }
    const auto down_factors =
        call->down.factor_gradients({g}, down_narrow, {inner.output, {}, {}}, saved, first_down, wanted_down, {inner.narrow_output, {}});
    inner.output.reset();

    variable_list result(3), in_factors(wanted_in.size());
    if (wants_in) {
      const std::vector<at::Tensor> wide{inner.gate, inner.up};
      const auto narrow = call->in.narrow_gradients(wide, saved, 5);
      if (wants_input) {
        const auto gradient = call->in.input_gradient(wide, narrow, saved, 5);
        result[0] = elementwise::rms_norm_input_gradient(gradient, sum, norm_weight, root, g).view(gradients[0].sizes());
        result[1] = result[0];
      }
      in_factors = call->in.factor_gradients(wide, narrow, {sum, root, norm_weight}, saved, 5, wanted_in,
                                             {{}, {inner.gate_narrow, inner.up_narrow}});
    }
    result.insert(result.end(), in_factors.begin(), in_factors.end());
    result.insert(result.end(), down_factors.begin(), down_factors.end());
    result.emplace_back();  // call
    return result;
  }

 private:
  static std::vector<bool> wanted(AutogradContext* context, size_t first, size_t count) {
    std::vector<bool> result;
    for (size_t i = 0; i < count; ++i) result.push_back(context->needs_input_grad(first + i));
    return result;
  }
};

std::vector<at::Tensor> joined(std::vector<at::Tensor> first, const std::vector<at::Tensor>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

}  // namespace

at::Tensor norm_gated_mlp(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& norm_weight, double epsilon,
                          const GatedMlpParameters& mlp, Pass pass) {
  auto in = norm_weight.requires_grad() ? std::nullopt : look_through({mlp.gate, mlp.up}, x);
  auto down = in ? look_through({mlp.down}, x) : std::nullopt;
  if (!down) {
    const auto sum = x + delta;
    const auto normalised = rms_norm(sum, norm_weight, epsilon);
    return sum + apply_linear(mlp.down, swiglu(apply_linear(mlp.gate, normalised), apply_linear(mlp.up, normalised)));
  }
  auto call = c10::make_intrusive<Call>(std::move(*in), std::move(*down), epsilon, pass);
  const auto factors = joined(call->in.factors(), call->down.factors());
  bool needs_gradient = x.requires_grad() || delta.requires_grad();
  for (const at::Tensor& factor : factors) needs_gradient = needs_gradient || factor.requires_grad();
  if (needs_gradient && at::GradMode::is_enabled()) return NormGatedMlp::apply(x, delta, norm_weight, at::TensorList(factors), call);
  const at::NoGradGuard no_graph;
  return run(as_rows(x), as_rows(delta), norm_weight, *call, nullptr, nullptr).output.view(x.sizes());
}

}  // namespace graft::ops
