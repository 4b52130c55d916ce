#include "graft/adapters/weight_site.h"

#include <ATen/Functions.h>

#include "graft/adapters/dropout_stream.h"
#include "graft/base/error.h"
#include "graft/ops/trained_linear.h"

namespace graft::detail {
namespace {

/// W + scale · row_side·column_side, with row_side [W.size(0), r] and column_side [r, W.size(1)]: both kinds in one form.
struct Sides {
  at::Tensor row_side, column_side;
};

Sides sides(const LoraFactors& factors, SiteKind kind) {
  if (kind == SiteKind::kLinear) return {factors.b, factors.a};
  return {factors.a.t(), factors.b.t()};
}

at::Tensor plain_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, ops::LinearForm form) {
  if (form == ops::LinearForm::kAddmm) return at::addmm(bias, x, weight.t());
  if (form == ops::LinearForm::kLinear) return ops::trained_linear(x, weight, bias);
  return x.matmul(weight.t());
}

/// Keeps the tensor's identity (the optimizer holds it); a gradient on the old device is dropped, as it belongs to the old data.
void move_leaf(at::Tensor& leaf, at::Device device) {
  if (!leaf.defined() || leaf.device() == device) return;
  leaf.mutable_grad().reset();
  leaf.set_data(leaf.detach().to(device));
}

}  // namespace

bool WeightSite::training() const {
  const auto owner_module = module.lock();
  return owner_module != nullptr && owner_module->is_training();
}

std::vector<ops::LoraTerm> WeightSite::linear_terms() const {
  std::vector<ops::LoraTerm> terms;
  terms.reserve(active.size());
  for (const Active& entry : active) {
    const LoraFactors& factors = *entry.factors;
    auto [row_side, column_side] = sides(factors, kind);
    ops::LoraTerm term{column_side, row_side, factors.scale * entry.weight, {}};
    if (factors.dropout > 0 && training()) term.dropout = next_dropout(1 - factors.dropout, factors.seed, factors.dropout_site);
    terms.push_back(std::move(term));
  }
  return terms;
}

at::Tensor WeightSite::linear(const at::Tensor& x, const at::Tensor& bias, ops::LinearForm form) const {
  const at::Tensor cast_bias = bias.defined() ? bias.to(x.scalar_type()) : bias;
  if (!active_copy.defined()) return ops::lora_linear(x, base, cast_bias, form, linear_terms());
  at::Tensor y = plain_linear(x, active_copy.to(x.scalar_type()), cast_bias, form);
  for (const ops::LoraTerm& term : linear_terms()) {
    const at::Tensor kept = term.dropout.drops() ? x * ops::drop(at::ones_like(x), term.dropout) : x;
    const at::Tensor narrow = kept.matmul(term.a.to(x.scalar_type()).t()) * (term.scale / term.dropout.keep());
    y = y + narrow.matmul(term.b.to(x.scalar_type()).t());
  }
  return y;
}

std::optional<ops::LinearOperand> WeightSite::operand() const {
  if (active_copy.defined()) return std::nullopt;
  return ops::LinearOperand{base, {}, linear_terms()};
}

at::Tensor WeightSite::times_weight(const at::Tensor& x) const {
  at::Tensor y = x.matmul(active_copy.defined() ? active_copy.to(x.scalar_type()) : base->dense(x.scalar_type()));
  for (const Active& entry : active) {
    if (entry.factors->dropout > 0 && training())
      throw UsageError("dropout has no meaning for x·W (only for x·Wᵀ)").at(path).hint("use dropout 0, or eval() mode, for this module");
    const auto [row_side, column_side] = sides(*entry.factors, kind);
    const at::Tensor narrow = x.matmul(row_side.to(x.scalar_type())) * (entry.factors->scale * entry.weight);
    y = y + narrow.matmul(column_side.to(x.scalar_type()));
  }
  return y;
}

at::Tensor WeightSite::embedding(const at::Tensor& ids, int64_t padding_idx, bool scale_grad_by_freq) const {
  std::vector<ops::LoraTerm> terms;
  for (const Active& entry : active) {
    const auto [row_side, column_side] = sides(*entry.factors, kind);
    terms.push_back({row_side.t(), column_side.t(), entry.factors->scale * entry.weight, {}});
  }
  if (!active_copy.defined()) return ops::lora_embedding(ids, *base, terms, padding_idx, scale_grad_by_freq);
  at::Tensor y = at::embedding(active_copy, ids, padding_idx, scale_grad_by_freq);
  for (const ops::LoraTerm& term : terms) {
    const at::Tensor narrow = at::embedding(term.a.t(), ids, padding_idx, scale_grad_by_freq) * term.scale;
    y = y + narrow.matmul(term.b.t());
  }
  return y.to(base->dtype());
}

at::Tensor WeightSite::matrix() const {
  const auto wide = sum_dtype();
  at::Tensor weight = active_copy.defined() ? active_copy.to(wide) : base->dense(wide);
  for (const Active& entry : active) {
    const auto [row_side, column_side] = sides(*entry.factors, kind);
    weight = at::addmm(weight, row_side.to(wide), column_side.to(wide), 1, entry.factors->scale * entry.weight);
  }
  return weight;
}

at::Tensor WeightSite::original_matrix() const {
  if (!taken) return base->dense(base->dtype());
  if (original.defined()) return original.detach();
  const auto wide = sum_dtype();
  const at::Tensor sum = at::addmm(base->dense(wide), taken->factors->b.to(wide), taken->factors->a.to(wide), 1, taken->factors->scale);
  return sum.to(base->dtype());
}

void WeightSite::move(at::Device device, at::ScalarType dtype) {
  at::NoGradGuard no_graph;
  base->move(device, dtype);
  if (taken) {
    if (original.defined()) original.set_data(original.detach().to(device, dtype));
    move_leaf(taken->factors->a, device);
    move_leaf(taken->factors->b, device);
  }
  for (Part& part : parts) {
    move_leaf(part.copy, device);
    if (part.factors == nullptr) continue;
    move_leaf(part.factors->a, device);
    move_leaf(part.factors->b, device);
  }
}

void WeightSite::zero_grad() const {
  for (const Part& part : parts) {
    if (part.copy.defined()) part.copy.mutable_grad().reset();
    if (part.factors == nullptr) continue;
    part.factors->a.mutable_grad().reset();
    part.factors->b.mutable_grad().reset();
  }
}

const WeightSite::Part* WeightSite::part(const std::string& adapter) const {
  for (const Part& candidate : parts)
    if (candidate.adapter == adapter) return &candidate;
  return nullptr;
}

}  // namespace graft::detail
