#pragma once

#include <torch/nn/module.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "graft/ops/frozen_weight.h"
#include "graft/ops/linear_group.h"
#include "graft/ops/lora_linear.h"

namespace graft::detail {

class AdaptedModel;

/// A Linear's weight is [out, in], an Embedding's [num, dim]. PEFT names their factors differently (A [r, in], B [out, r] against
/// A [r, num], B [dim, r]) and starts another one at zero.
enum class SiteKind { kLinear, kEmbedding };

/// What one adapter adds to one weight.
struct LoraFactors {
  at::Tensor a, b;
  double scale = 1;
  double dropout = 0;         ///< probability of dropping an input of A
  uint64_t seed = 0;          ///< of the adapter
  uint64_t dropout_site = 0;  ///< of the module
};

/// One module's weight: a frozen base, what each adapter adds to it, and which of them count now. Knows nothing of dispatch:
/// AdaptedWeight (adapted_weight.h) is the tensor that stands in the module and asks this.
class WeightSite {
 public:
  WeightSite(std::shared_ptr<ops::FrozenWeight> frozen, SiteKind site_kind, std::string full_path,
             std::weak_ptr<torch::nn::Module> in_module)
      : base(std::move(frozen)), kind(site_kind), path(std::move(full_path)), module(std::move(in_module)) {}

  /// x·Wᵀ (+ bias) in x's dtype.
  at::Tensor linear(const at::Tensor& x, const at::Tensor& bias, ops::LinearForm form) const;
  /// x·W: the weight used the other way round.
  at::Tensor times_weight(const at::Tensor& x) const;
  /// Frozen base and terms for an input of x's shape, for fused operators; none while a trained copy stands in the base's place.
  std::optional<ops::LinearOperand> operand() const;
  at::Tensor embedding(const at::Tensor& ids, int64_t padding_idx, bool scale_grad_by_freq) const;
  /// The effective matrix W + Σ weight·s·B·A in sum_dtype(). Differentiable in the trained tensors.
  at::Tensor matrix() const;
  /// What sums over the weight are taken in: float32, or float64 for a float64 base.
  at::ScalarType sum_dtype() const { return base->dtype() == at::kDouble ? at::kDouble : at::kFloat; }

  /// Base and factors to `device`; a dense base to `dtype`. Trained tensors keep their dtype (and their identity).
  void move(at::Device device, at::ScalarType dtype);
  /// Forgets the gradients of every adapter's tensors here: what Module::zero_grad means for this weight.
  void zero_grad() const;

  /// What an adapter brings. Either may be missing: factors, or a trained full copy in the base's place.
  struct Part {
    std::string adapter;
    std::shared_ptr<LoraFactors> factors;
    at::Tensor copy;
  };
  const Part* part(const std::string& adapter) const;

  /// What an adapter's start took out of the base, which is then W − s·B₀·A₀ (weight_start.h).
  struct Taken {
    std::string adapter;
    std::shared_ptr<LoraFactors> factors;
  };
  /// W, the weight as the model came with it, in the base's dtype. Never write to it.
  at::Tensor original_matrix() const;

  std::shared_ptr<ops::FrozenWeight> base;
  const SiteKind kind;
  const std::string path;
  std::weak_ptr<torch::nn::Module> module;  ///< whose training mode switches dropout
  at::Tensor original;                      ///< the dense parameter to put back; undefined when there is none (quantized, or not kept)
  at::Tensor registered;                    ///< what was registered as "weight"; another tensor when only the member had been assigned
  bool original_required_grad = false;
  std::shared_ptr<AdaptedModel> owner;  ///< keeps the model's list of adapters alive
  std::vector<Part> parts;
  std::optional<Taken> taken;

  /// The active parts, rewritten by AdaptedModel::activate.
  struct Active {
    std::shared_ptr<LoraFactors> factors;
    double weight;
  };
  std::vector<Active> active;
  at::Tensor active_copy;

 private:
  bool training() const;
  std::vector<ops::LoraTerm> linear_terms() const;
};

}  // namespace graft::detail
