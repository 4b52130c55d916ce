#include "graft/ops/linear_group.h"

#include <ATen/Functions.h>

#include <algorithm>

#include "graft/ops/dropped_factors.h"
#include "graft/ops/products.h"
#include "graft/ops/side_by_side.h"

namespace graft::ops {
namespace {

at::Tensor joined(const std::vector<at::Tensor>& narrow) { return narrow.size() == 1 ? narrow.front() : at::cat(narrow, 1); }

}  // namespace

LinearGroup::LinearGroup(std::vector<LinearOperand> operands) : operands_(std::move(operands)) {
  for (size_t i = 0; i < operands_.size(); ++i) {
    for (const LoraTerm& term : operands_[i].terms) {
      terms_.push_back({i, total_rank_, term.a.size(0), term.scale / term.dropout.keep(), term.dropout, term.a, term.b});
      total_rank_ += term.a.size(0);
      dropout_ = dropout_ || term.dropout.drops();
      one_scale_ = one_scale_ && terms_.back().scale == terms_.front().scale;
    }
  }
}

std::vector<at::Tensor> LinearGroup::factors() const {
  std::vector<at::Tensor> result;
  for (const Term& term : terms_) result.insert(result.end(), {term.a, term.b});
  return result;
}

/// All P side by side: [T, total rank].
at::Tensor LinearGroup::narrow(const at::Tensor& x, const at::Tensor& stacked) const {
  if (!dropout_ && one_scale_) return scaled_product(x, stacked.t(), terms_.front().scale);
  std::vector<DroppedFactor> factors;
  for (const Term& term : terms_) factors.push_back({stacked.narrow(0, term.begin, term.rank), term.scale, term.dropout});
  return dropped_products(x, factors);
}

LinearGroup::LowRank LinearGroup::low_rank(const at::Tensor& x, std::vector<at::Tensor>* saved, const at::Tensor& known_p) const {
  LowRank result;
  if (terms_.empty()) return result;
  std::vector<at::Tensor> a;
  for (const Term& term : terms_) a.push_back(term.a);
  result.a = (a.size() == 1 ? a.front() : at::cat(a)).to(x.scalar_type());
  result.p = known_p.defined() ? known_p : narrow(as_matrix(x), result.a);
  for (const Term& term : terms_) result.b.push_back(term.b.to(x.scalar_type()));
  if (saved != nullptr) {
    saved->insert(saved->end(), {result.p, result.a});
    saved->insert(saved->end(), result.b.begin(), result.b.end());
  }
  return result;
}

/// bias + Σ P·Bᵀ + x·Wᵀ. Undefined when the operand has no term.
at::Tensor LinearGroup::low_rank_first(size_t operand, const Rows& x, const LowRank& terms) const {
  const auto& [weight, bias, its_terms] = operands_[operand];
  if (!weight->accumulates(x.matrix().scalar_type())) return add_onto_product(operand, x, terms, {});
  at::Tensor y;
  for (size_t t = 0; t < terms_.size(); ++t) {
    if (terms_[t].operand != operand) continue;
    const at::Tensor p = terms.p.narrow(1, terms_[t].begin, terms_[t].rank), b = terms.b[t].t();
    y = y.defined() ? add_product(y, p, b) : ops::product(p, b, bias);
  }
  return y.defined() ? weight->add_linear(y, x.matrix()) : y;
}

/// The same, with the product first; `addends` are added too.
at::Tensor LinearGroup::add_onto_product(size_t operand, const Rows& x, const LowRank& terms,
                                         const std::vector<at::Tensor>& addends) const {
  const auto sum = parts_of(operand, terms.p, terms.b.begin());
  if (!sum.narrow.defined()) return {};
  at::Tensor y = operands_[operand].weight->product(x);
  if (operands_[operand].bias.defined()) y.add_(operands_[operand].bias);
  return add_up({y, sum.narrow, sum.wide}, addends);
}

/// The low-rank part of an operand's output, without a base; `b`: the B of all terms in order.
LowRankSum LinearGroup::parts_of(size_t operand, const at::Tensor& p, std::vector<at::Tensor>::const_iterator b) const {
  std::vector<at::Tensor> wide;
  int64_t begin = 0, rank = 0;
  for (size_t t = 0; t < terms_.size(); ++t) {
    if (terms_[t].operand != operand) continue;
    if (wide.empty()) begin = terms_[t].begin;
    rank += terms_[t].rank;
    wide.push_back(b[static_cast<std::ptrdiff_t>(t)]);
  }
  if (wide.empty()) return at::Tensor();
  return {at::Tensor(), p.narrow(1, begin, rank), joined(wide)};
}

std::vector<at::Tensor> LinearGroup::forward(const at::Tensor& x, LinearForm form, std::vector<at::Tensor>* saved) const {
  const LowRank terms = low_rank(x, saved);
  const bool own_kernels = x.is_cuda() || form == LinearForm::kOwn;
  const Rows rows(own_kernels ? as_matrix(x) : x);
  std::vector<at::Tensor> outputs;
  for (size_t i = 0; i < operands_.size(); ++i) {
    const LinearOperand& operand = operands_[i];
    at::Tensor y = own_kernels ? low_rank_first(i, rows, terms) : at::Tensor();
    if (y.defined()) {
      auto shape = x.sizes().vec();
      shape.back() = y.size(1);
      outputs.push_back(at::_unsafe_view(y, shape));
      continue;
    }
    const LinearForm its_form = operand.bias.defined() && form == LinearForm::kMatmul ? LinearForm::kAddmm : form;
    y = operand.weight->linear(x, operand.bias, its_form);
    for (size_t t = 0; t < terms_.size(); ++t) {
      if (terms_[t].operand != i) continue;
      if (!y.is_contiguous()) y = y.contiguous();
      y.view({-1, y.size(-1)}).addmm_(terms.p.narrow(1, terms_[t].begin, terms_[t].rank), terms.b[t].t());
    }
    outputs.push_back(y);
  }
  return outputs;
}

bool LinearGroup::all_kept_apart(const at::Tensor& like) const {
  if (terms_.empty()) return false;
  std::vector<int64_t> ranks(operands_.size());
  for (const Term& term : terms_) {
    if (term.rank % 4 != 0) return false;  // the next term's columns would not be aligned
    ranks[term.operand] += term.rank;
  }
  for (size_t i = 0; i < operands_.size(); ++i)
    if (ranks[i] > 0 && !keeps_apart(like, operands_[i].weight->sizes()[0], ranks[i])) return false;
  return true;
}

std::vector<LowRankSum> LinearGroup::forward_apart(const at::Tensor& x, std::vector<at::Tensor>* saved) const {
  std::vector<LowRankSum> sums;
  if (!all_kept_apart(x)) {
    for (at::Tensor& y : forward(x, LinearForm::kOwn, saved)) sums.emplace_back(as_matrix(y));
    return sums;
  }
  std::vector<at::Tensor> parts;
  low_rank(x, &parts);
  const Rows rows(as_matrix(x));
  for (size_t i = 0; i < operands_.size(); ++i) {
    const auto& [weight, bias, terms] = operands_[i];
    const auto base = bias.defined() ? weight->linear(rows.matrix(), bias, LinearForm::kAddmm) : weight->product(rows);
    sums.push_back(apart_again(i, base, parts, 0));
  }
  if (saved != nullptr) saved->insert(saved->end(), parts.begin(), parts.end());
  return sums;
}

LowRankSum LinearGroup::apart_again(size_t operand, const at::Tensor& base, const std::vector<at::Tensor>& saved, size_t first) const {
  if (!all_kept_apart(base)) return base;
  auto sum = parts_of(operand, saved[first], saved.begin() + static_cast<std::ptrdiff_t>(first) + 2);
  sum.base = base;
  return sum;
}

at::Tensor LinearGroup::forward_onto(const at::Tensor& addend, const at::Tensor& x, std::vector<at::Tensor>* saved) const {
  // The product first: at::addmm would copy the addend to begin with.
  if (x.is_cuda() && !terms_.empty() && !operands_.front().bias.defined())
    return add_onto_product(0, Rows(x), low_rank(x, saved), {addend});
  return forward(x, LinearForm::kOwn, saved).front().add_(addend);
}

void LinearGroup::save_again(const at::Tensor& p, const at::Tensor& x, std::vector<at::Tensor>* saved) const { low_rank(x, saved, p); }

bool LinearGroup::needs_input(const std::vector<bool>& wanted_factors) const {
  for (size_t t = 0; t < terms_.size(); ++t)
    if (wanted_factors[2 * t]) return true;
  return false;
}

std::vector<at::Tensor> LinearGroup::narrow_gradients(const std::vector<at::Tensor>& gradients, const std::vector<at::Tensor>& saved,
                                                      size_t first) const {
  std::vector<at::Tensor> result;
  for (size_t t = 0; t < terms_.size(); ++t)
    result.push_back(scaled_product(gradients[terms_[t].operand], saved[first + 2 + t], terms_[t].scale));
  return result;
}

/// Of all operands [Σ out, in], or undefined.
at::Tensor LinearGroup::stacked_weight(at::ScalarType dtype) const {
  if (operands_.size() < 2 || terms_.empty() || dropout_) return {};
  std::vector<at::Tensor> weights;
  for (const LinearOperand& operand : operands_) {
    weights.push_back(operand.weight->stored(dtype));
    if (!weights.back().defined()) return {};
  }
  return side_by_side(weights, 0);
}

at::Tensor LinearGroup::input_gradient(const std::vector<at::Tensor>& gradients, const std::vector<at::Tensor>& narrow,
                                       const std::vector<at::Tensor>& saved, size_t first) const {
  const auto accumulates = [&](const LinearOperand& operand) { return operand.weight->accumulates(gradients.front().scalar_type()); };
  const bool one_sum = !terms_.empty() && !dropout_;
  if (one_sum && !std::all_of(operands_.begin(), operands_.end(), accumulates)) {
    std::vector<at::Tensor> products;
    for (size_t i = 0; i < operands_.size(); ++i) products.push_back(operands_[i].weight->input_gradient(gradients[i]));
    return add_up({products.front(), joined(narrow), saved[first + 1].t()}, {products.begin() + 1, products.end()});
  }
  const at::Tensor weights = stacked_weight(gradients.front().scalar_type());
  const at::Tensor together = weights.defined() ? side_by_side(gradients, 1) : at::Tensor();
  if (together.defined()) return add_product(ops::product(joined(narrow), saved[first + 1]), together, weights);
  at::Tensor result =
      one_sum ? ops::product(joined(narrow), saved[first + 1]) : operands_.front().weight->input_gradient(gradients.front());
  for (size_t i = one_sum ? 0 : 1; i < operands_.size(); ++i) result = operands_[i].weight->add_input_gradient(result, gradients[i]);
  if (!dropout_) return result;
  const at::Tensor& stacked = saved[first + 1];
  std::vector<DroppedProduct> products;
  for (size_t t = 0; t < terms_.size(); ++t)
    products.push_back({narrow[t], stacked.narrow(0, terms_[t].begin, terms_[t].rank).t(), terms_[t].dropout});
  add_dropped(result, products);
  return result;
}

LowRankSum LinearGroup::input_gradient_apart(const at::Tensor& gradient, const std::vector<at::Tensor>& narrow,
                                             const std::vector<at::Tensor>& saved, size_t first) const {
  if (dropout_ || !keeps_apart(gradient, input_width(), total_rank_)) return input_gradient({gradient}, narrow, saved, first);
  return {operands_.front().weight->input_gradient(gradient), joined(narrow), saved[first + 1].t()};
}

/// Of every term in order; undefined where not wanted.
std::vector<at::Tensor> LinearGroup::a_gradients(const std::vector<at::Tensor>& narrow, const FactoredInput& x, const at::Tensor& known,
                                                 const std::vector<bool>& wanted) const {
  std::vector<at::Tensor> result(terms_.size());
  if (!needs_input(wanted)) return result;
  const at::ScalarType dtype = terms_.front().a.scalar_type();
  const auto with_rows = [&](const at::Tensor& q) { return x.rows.defined() ? (q * x.rows).to(q.scalar_type()) : q; };
  const auto with_columns = [&](const at::Tensor& gradient) {
    return x.columns.defined() ? at::Tensor(gradient).mul_(x.columns) : gradient;
  };
  if (!dropout_) {
    const at::Tensor all = known.defined() ? known : with_columns(master_gradient(with_rows(joined(narrow)).t(), x.matrix, dtype));
    for (size_t t = 0; t < terms_.size(); ++t)
      if (wanted[2 * t]) result[t] = all.narrow(0, terms_[t].begin, terms_[t].rank);
    return result;
  }
  std::vector<DroppedContraction> contractions;
  for (size_t t = 0; t < terms_.size(); ++t)
    if (wanted[2 * t]) contractions.push_back({with_rows(narrow[t]), terms_[t].dropout});
  const auto gradients = dropped_contractions(x.matrix, contractions, dtype);
  auto found = gradients.begin();
  for (size_t t = 0; t < terms_.size(); ++t)
    if (wanted[2 * t]) result[t] = with_columns(*found++);
  return result;
}

at::Tensor LinearGroup::b_gradient(const Term& term, const at::Tensor& g, const at::Tensor& p, const KnownGradients& known) const {
  const at::ScalarType dtype = term.b.scalar_type();
  if (term.operand < known.b.size() && known.b[term.operand].defined()) {
    const auto same_operand = [&](const Term& other) { return other.operand == term.operand; };
    const int64_t begin = term.begin - std::find_if(terms_.begin(), terms_.end(), same_operand)->begin;
    return known.b[term.operand].narrow(1, begin, term.rank).to(dtype).contiguous();
  }
  // On a CPU (pᵀ·g)ᵀ: the wide matrix is read along its rows, up to twice as fast as gᵀ·p.
  return g.is_cuda() ? master_gradient(g.t(), p, dtype) : ops::product(p.t(), g).t().to(dtype).contiguous();
}

std::vector<at::Tensor> LinearGroup::factor_gradients(const std::vector<at::Tensor>& gradients, const std::vector<at::Tensor>& narrow,
                                                      const FactoredInput& x, const std::vector<at::Tensor>& saved, size_t first,
                                                      const std::vector<bool>& wanted, const KnownGradients& known) const {
  std::vector<at::Tensor> result;
  const auto of_a = a_gradients(narrow, x, known.a, wanted);
  for (size_t t = 0; t < terms_.size(); ++t) {
    const Term& term = terms_[t];
    result.push_back(wanted[2 * t] ? of_a[t].to(term.a.scalar_type()) : at::Tensor());
    result.push_back(wanted[2 * t + 1] ? b_gradient(term, gradients[term.operand], saved[first].narrow(1, term.begin, term.rank), known)
                                       : at::Tensor());
  }
  return result;
}

}  // namespace graft::ops
