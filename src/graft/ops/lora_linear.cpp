#include "graft/ops/lora_linear.h"

#include <ATen/Functions.h>
#include <torch/csrc/autograd/custom_function.h>

#include "graft/base/error.h"

namespace graft::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// What backward needs besides tensors.
struct Call : torch::CustomClassHolder {
  Call(std::shared_ptr<const FrozenWeight> w, LinearForm f) : weight(std::move(w)), form(f) {}
  std::shared_ptr<const FrozenWeight> weight;
  LinearForm form;
  bool has_bias = false;
  std::vector<double> scales;          // scale / keep: the mask is applied without its own pass for 1 / keep
  std::vector<at::Tensor> masks;       // undefined where there is no dropout
  std::vector<at::ScalarType> dtypes;  // of the masters
};

/// [rows, width] without a copy when the strides allow it.
at::Tensor as_matrix(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}); }

at::Tensor dropped(const at::Tensor& x, const at::Tensor& mask) { return mask.defined() ? x * as_matrix(mask) : x; }

/// y += scale · (x·Aᵀ)·Bᵀ in place; returns x·Aᵀ.
at::Tensor add_low_rank(const at::Tensor& y, const at::Tensor& x, const at::Tensor& a, const at::Tensor& b, double scale) {
  at::Tensor narrow = x.mm(a.t());
  y.addmm_(narrow, b.t(), /*beta=*/1, /*alpha=*/scale);
  return narrow;
}

/// The whole forward. `keep_narrow` (may be null) receives x·Aᵀ per term and the factors as they were multiplied.
at::Tensor forward_maths(const at::Tensor& x, const at::Tensor& bias, const Call& call, at::TensorList factors, variable_list* keep) {
  at::Tensor y = call.weight->linear(x, bias, call.form);
  if (factors.empty()) return y;
  if (!y.is_contiguous()) y = y.contiguous();
  const at::Tensor flat_y = y.view({-1, y.size(-1)});
  const at::Tensor flat_x = as_matrix(x);
  for (size_t i = 0; i < call.scales.size(); ++i) {
    const at::Tensor a = factors[2 * i].to(x.scalar_type()), b = factors[2 * i + 1].to(x.scalar_type());
    const at::Tensor narrow = add_low_rank(flat_y, dropped(flat_x, call.masks[i]), a, b, call.scales[i]);
    if (keep != nullptr) keep->insert(keep->end(), {narrow, a, b});
  }
  return y;
}

struct LoraLinear : torch::autograd::Function<LoraLinear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const std::optional<at::Tensor>& bias, at::TensorList factors,
                            const c10::intrusive_ptr<Call>& call) {
    variable_list saved{x};
    at::Tensor y = forward_maths(x, bias.value_or(at::Tensor()), *call, factors, &saved);
    if (factors.empty()) saved.clear();  // x·Wᵀ alone needs nothing but W
    context->save_for_backward(std::move(saved));
    context->saved_data["call"] = c10::IValue::make_capsule(call);
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    if (at::GradMode::is_enabled())
      throw UsageError("an adapted Linear cannot be differentiated twice").hint("call backward() without create_graph");
    const auto call = c10::static_intrusive_pointer_cast<Call>(context->saved_data["call"].toCapsule());
    const auto saved = context->get_saved_variables();
    const size_t first_factor = call->has_bias ? 2 : 1;  // index of A among the inputs that are variables
    const at::Tensor g = as_matrix(gradients[0]);
    auto input_shape = gradients[0].sizes().vec();
    input_shape.back() = call->weight->sizes()[1];

    const bool wants_x = context->needs_input_grad(0);
    at::Tensor x_gradient = wants_x ? call->weight->input_gradient(g) : at::Tensor();
    variable_list result{{}, {}};
    if (call->has_bias && context->needs_input_grad(1)) result[1] = g.sum(0);
    for (size_t i = 0; i < call->scales.size(); ++i) {
      const bool wants_a = context->needs_input_grad(first_factor + 2 * i), wants_b = context->needs_input_grad(first_factor + 2 * i + 1);
      const at::Tensor &narrow = saved[1 + 3 * i], &a = saved[2 + 3 * i], &b = saved[3 + 3 * i], &mask = call->masks[i];
      at::Tensor a_gradient, b_gradient;
      // (narrowᵀ·g)ᵀ: the wide matrix is read along its rows, up to twice as fast on a CPU as gᵀ·narrow.
      if (wants_b) b_gradient = narrow.t().mm(g).mul_(call->scales[i]).t().to(call->dtypes[i]).contiguous();
      if (wants_a || wants_x) {
        const at::Tensor narrow_gradient = g.mm(b).mul_(call->scales[i]);
        if (wants_a) a_gradient = narrow_gradient.t().mm(dropped(as_matrix(saved[0]), mask)).to(call->dtypes[i]);
        if (wants_x && mask.defined()) x_gradient.add_(narrow_gradient.mm(a).mul_(as_matrix(mask)));
        if (wants_x && !mask.defined()) x_gradient.addmm_(narrow_gradient, a);
      }
      result.insert(result.end(), {a_gradient, b_gradient});
    }
    result.emplace_back();  // the call
    if (wants_x) result[0] = x_gradient.view(input_shape);
    return result;
  }
};

}  // namespace

at::Tensor lora_linear(const at::Tensor& x, const std::shared_ptr<const FrozenWeight>& weight, const at::Tensor& bias, LinearForm form,
                       const std::vector<LoraTerm>& terms) {
  auto call = c10::make_intrusive<Call>(weight, form);
  call->has_bias = bias.defined();
  std::vector<at::Tensor> factors;
  bool needs_gradient = x.requires_grad() || (bias.defined() && bias.requires_grad());
  for (const LoraTerm& term : terms) {
    call->scales.push_back(term.scale / term.keep);
    call->masks.push_back(term.dropout_mask);
    call->dtypes.push_back(term.a.scalar_type());
    factors.insert(factors.end(), {term.a, term.b});
    needs_gradient = needs_gradient || term.a.requires_grad() || term.b.requires_grad();
  }
  if (!needs_gradient || !at::GradMode::is_enabled()) {
    at::NoGradGuard no_graph;
    return forward_maths(x, bias, *call, factors, nullptr);
  }
  const std::optional<at::Tensor> optional_bias = bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt;
  return LoraLinear::apply(x, optional_bias, at::TensorList(factors), call);
}

at::Tensor lora_embedding(const at::Tensor& ids, const FrozenWeight& weight, const std::vector<LoraTerm>& terms, int64_t padding_idx,
                          bool scale_grad_by_freq) {
  at::Tensor rows;
  {
    at::NoGradGuard frozen;
    rows = weight.rows(ids);
  }
  for (const LoraTerm& term : terms) {
    const at::Tensor narrow = at::embedding(term.a.t(), ids, padding_idx, scale_grad_by_freq) * term.scale;
    rows = rows + narrow.matmul(term.b.t()).to(rows.scalar_type());
  }
  return rows;
}

}  // namespace graft::ops
