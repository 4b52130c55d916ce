#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

#include "graft/ops/rows.h"

namespace graft::ops {

/// Which way of computing x·Wᵀ + bias is asked for. They round differently; a frozen weight answers LibTorch's three with the same kernel
/// as a plain torch::nn module would, so that a model with no (or a zero) adapter gives the base's bits.
enum class LinearForm {
  kMatmul,  ///< x.matmul(W.t()), no bias: what torch::nn::Linear calls for 3-D inputs
  kAddmm,   ///< addmm(bias, x, W.t()), x is 2-D: what torch::nn::Linear calls for 2-D inputs with a bias
  kLinear,  ///< at::linear(x, W, bias)
  kOwn,     ///< ops::product: what graft's own operators ask for, with and without an adapter
};

/// A matrix W [out, in] that is never trained. How it is stored is the subclass's business: dense (below) or quantized (quant/).
/// Nothing here records gradients; lora_linear() does.
class FrozenWeight {
 public:
  virtual ~FrozenWeight() = default;

  virtual at::IntArrayRef sizes() const = 0;  ///< [out, in]
  virtual at::ScalarType dtype() const = 0;   ///< what the module's parameter says it is
  virtual at::Device device() const = 0;
  virtual std::string kind() const = 0;  ///< "dense", "nf4", …: for people
  /// W [out, in] in `dtype`. May be the stored tensor itself: never write to it.
  virtual at::Tensor dense(at::ScalarType dtype) const = 0;
  /// The stored matrix where it is stored as such and in `dtype`; else undefined.
  virtual at::Tensor stored(at::ScalarType /*dtype*/) const { return {}; }
  /// Moves (and, where the storage allows it, casts) in place: everybody who shares this weight sees it.
  virtual void move(at::Device device, at::ScalarType dtype) = 0;

  /// x·Wᵀ (+ bias), x [..., in] in the compute dtype, bias [out] of that dtype or undefined. The result is fresh: it may be written to.
  virtual at::Tensor linear(const at::Tensor& x, const at::Tensor& bias, LinearForm form) const;
  /// x·Wᵀ [rows, out], fresh.
  virtual at::Tensor product(const Rows& x) const;
  /// Whether adding onto a sum (the two functions below) in this dtype costs no more than the product alone.
  virtual bool accumulates(at::ScalarType /*compute*/) const { return true; }
  /// sum + x·Wᵀ, x [rows, in], sum [rows, out] contiguous. The caller gives `sum` up: the result may be written over it.
  virtual at::Tensor add_linear(at::Tensor sum, const at::Tensor& x) const;
  /// g·W: the gradient for x. g [rows, out]. The result is fresh.
  virtual at::Tensor input_gradient(const at::Tensor& g) const;
  /// sum + g·W, in the same way.
  virtual at::Tensor add_input_gradient(at::Tensor sum, const at::Tensor& g) const;
  /// W's rows [..., in] for integer ids [...].
  virtual at::Tensor rows(const at::Tensor& ids) const;

 protected:
  /// Whether N-D inputs are flattened to one 2-D product whatever their strides (LibTorch does so when W requires grad).
  virtual bool always_flattens() const { return false; }
};

/// An ordinary parameter, held by its own handle: moving the module that owns it moves this too, and nothing is copied.
class DenseWeight final : public FrozenWeight {
 public:
  /// `flatten`: whether the parameter required gradients before it was frozen (see always_flattens).
  explicit DenseWeight(at::Tensor parameter, bool flatten = false) : parameter_(std::move(parameter)), flatten_(flatten) {}

  at::IntArrayRef sizes() const override { return parameter_.sizes(); }
  at::ScalarType dtype() const override { return parameter_.scalar_type(); }
  at::Device device() const override { return parameter_.device(); }
  std::string kind() const override { return "dense"; }
  at::Tensor dense(at::ScalarType dtype) const override { return parameter_.detach().to(dtype); }
  at::Tensor stored(at::ScalarType dtype) const override { return dtype == this->dtype() ? parameter_.detach() : at::Tensor(); }
  void move(at::Device device, at::ScalarType dtype) override;
  const at::Tensor& parameter() const { return parameter_; }

 protected:
  bool always_flattens() const override { return flatten_; }

 private:
  at::Tensor parameter_;
  bool flatten_;
};

}  // namespace graft::ops
