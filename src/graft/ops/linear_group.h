#pragma once

#include <ATen/core/Tensor.h>
#include <torch/custom_class.h>

#include <memory>
#include <vector>

#include "graft/ops/frozen_weight.h"
#include "graft/ops/lora_linear.h"
#include "graft/ops/low_rank_sum.h"

namespace graft::ops {

/// A Linear as an operator sees it: what is stored, and what is added to it.
struct LinearOperand {
  std::shared_ptr<const FrozenWeight> weight;
  at::Tensor bias;  ///< [out] in the compute dtype, or undefined
  std::vector<LoraTerm> terms;
};

/// A matrix diag(rows)·matrix·diag(columns).
struct FactoredInput {
  at::Tensor matrix;   ///< [T, in] in the compute dtype
  at::Tensor rows;     ///< float32 [T, 1] or undefined: ones
  at::Tensor columns;  ///< [in] or undefined: ones
};

/// Gradients of factors that an operator has made in passing, float32. Undefined, or left out: not known.
struct KnownGradients {
  at::Tensor a;               ///< [total rank, in]: of all A, stacked
  std::vector<at::Tensor> b;  ///< per operand [out, its total rank]
};

/// Linears that share one input x [T, in] (query, key and value; gate and up; or a single one): the arithmetic of their forward and
/// backward over plain tensors, without a graph.
///
///   y_i = x·W_iᵀ + bias_i + Σ_t P_t·B_tᵀ,      P_t = scale_t (drop_t(x)·A_tᵀ)
///   dx  = Σ_i g_i·W_i + Σ_t drop_t(Q_t·A_t),   Q_t = scale_t (g_i·B_t)
///   dA_t = Q_tᵀ·drop_t(x)                      dB_t = g_iᵀ·P_t
///
/// Without dropout the A of all terms are stacked, so that x is read once for all P, once for all dA, and dx is written once for all Q·A.
class LinearGroup : public torch::CustomClassHolder {
 public:
  explicit LinearGroup(std::vector<LinearOperand> operands);

  /// A and B of every term in order: what a graph has to track.
  std::vector<at::Tensor> factors() const;
  int64_t input_width() const { return operands_.front().weight->sizes()[1]; }
  size_t size() const { return operands_.size(); }

  /// x [..., in] → y_i [..., out_i], fresh. `form`: how the product with W is computed. `saved` (may be null) receives what backward takes.
  /// On a GPU, and for LinearForm::kOwn, the low-rank part is written first and the product with W added onto it (one pass over y instead
  /// of three), where W can.
  std::vector<at::Tensor> forward(const at::Tensor& x, LinearForm form, std::vector<at::Tensor>* saved) const;
  /// y_i [T, out_i] for an operator that adds the low-rank parts itself, where keeps_apart says so.
  std::vector<LowRankSum> forward_apart(const at::Tensor& x, std::vector<at::Tensor>* saved) const;
  /// What forward_apart gave for an operand, from its base and what was saved.
  LowRankSum apart_again(size_t operand, const at::Tensor& base, const std::vector<at::Tensor>& saved, size_t first) const;
  /// The one operand's y + addend, x [T, in], addend [T, out].
  at::Tensor forward_onto(const at::Tensor& addend, const at::Tensor& x, std::vector<at::Tensor>* saved) const;
  /// Only what backward takes, for running a forward again whose result nobody reads. `p`: the first of what forward saved, or undefined:
  /// then it is computed from x; else only x's dtype is looked at.
  void save_again(const at::Tensor& p, const at::Tensor& x, std::vector<at::Tensor>* saved) const;

  /// Whether input_gradient multiplies gradients that lie side by side (side_by_side.h) at once: the weights lie one after the other, and
  /// nothing stands between their products. `like`: of the compute dtype.
  bool multiplies_at_once(const at::Tensor& like) const { return stacked_weight(like.scalar_type()).defined(); }

  /// Whether factor_gradients needs x: some A is trained.
  bool needs_input(const std::vector<bool>& wanted_factors) const;

  // Backward, in three parts so that a fused block can put its own work between them. gradients: g_i [T, out_i], rows contiguous (or side
  // by side); saved: what forward gave, beginning at `first`.

  /// Q_t [T, rank] of every term.
  std::vector<at::Tensor> narrow_gradients(const std::vector<at::Tensor>& gradients, const std::vector<at::Tensor>& saved,
                                           size_t first) const;
  /// dx [T, in], fresh.
  at::Tensor input_gradient(const std::vector<at::Tensor>& gradients, const std::vector<at::Tensor>& narrow,
                            const std::vector<at::Tensor>& saved, size_t first) const;
  /// The one operand's dx for an operator that adds the low-rank part itself, where keeps_apart says so.
  LowRankSum input_gradient_apart(const at::Tensor& gradient, const std::vector<at::Tensor>& narrow, const std::vector<at::Tensor>& saved,
                                  size_t first) const;
  /// As factors(), in the masters' dtypes; undefined where not wanted. x: the group's input (its matrix is undefined when needs_input
  /// says no, or all A are known). A normalised matrix need not be built again: (Q·diag(rows))ᵀ·matrix·diag(columns) gives the same dA.
  std::vector<at::Tensor> factor_gradients(const std::vector<at::Tensor>& gradients, const std::vector<at::Tensor>& narrow,
                                           const FactoredInput& x, const std::vector<at::Tensor>& saved, size_t first,
                                           const std::vector<bool>& wanted, const KnownGradients& known = {}) const;

 private:
  struct Term {
    size_t operand;
    int64_t begin, rank;  ///< its rows in the stacked A
    double scale;         ///< scale / keep: dropping needs no pass of its own for 1 / keep
    Dropout dropout;
    at::Tensor a, b;  ///< masters
  };
  /// The terms as they are multiplied: P of all terms side by side, the stacked A, and every B, in x's dtype.
  struct LowRank {
    at::Tensor p, a;
    std::vector<at::Tensor> b;
  };
  at::Tensor stacked_weight(at::ScalarType dtype) const;
  LowRank low_rank(const at::Tensor& x, std::vector<at::Tensor>* saved, const at::Tensor& known_p = {}) const;
  at::Tensor narrow(const at::Tensor& x, const at::Tensor& stacked) const;
  at::Tensor add_onto_product(size_t operand, const Rows& x, const LowRank& terms, const std::vector<at::Tensor>& addends) const;
  LowRankSum parts_of(size_t operand, const at::Tensor& p, std::vector<at::Tensor>::const_iterator b) const;
  std::vector<at::Tensor> a_gradients(const std::vector<at::Tensor>& narrow, const FactoredInput& x, const at::Tensor& known,
                                      const std::vector<bool>& wanted) const;
  at::Tensor b_gradient(const Term& term, const at::Tensor& g, const at::Tensor& p, const KnownGradients& known) const;
  bool all_kept_apart(const at::Tensor& like) const;
  at::Tensor low_rank_first(size_t operand, const Rows& x, const LowRank& terms) const;

  std::vector<LinearOperand> operands_;
  std::vector<Term> terms_;
  int64_t total_rank_ = 0;
  bool dropout_ = false;
  bool one_scale_ = true;
};

}  // namespace graft::ops
