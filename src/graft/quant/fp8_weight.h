#pragma once

#include "graft/ops/frozen_weight.h"
#include "graft/quant/fp8.h"

namespace graft::quant {

/// A frozen matrix in FP8 with one scale an output row. On a GPU with FP8 units both products run on the codes: activations are rounded to
/// FP8 row by row on the way in; for the input's gradient the weight's scales are folded into the incoming gradient before that is rounded,
/// so that forward and backward see one and the same weight. Elsewhere the weight is decoded for each product, like a 4-bit one.
class Fp8Weight final : public ops::FrozenWeight {
 public:
  /// `dtype` is what the module's parameter says it is.
  Fp8Weight(Fp8Rows rows, at::ScalarType dtype) : rows_(std::move(rows)), dtype_(dtype) {}

  at::IntArrayRef sizes() const override { return rows_.codes.sizes(); }
  at::ScalarType dtype() const override { return dtype_; }
  at::Device device() const override { return rows_.codes.device(); }
  std::string kind() const override { return "fp8"; }
  at::Tensor dense(at::ScalarType dtype) const override { return decode(rows_, dtype); }
  /// The codes move; a cast changes only what the parameter says.
  void move(at::Device device, at::ScalarType dtype) override;
  bool accumulates(at::ScalarType compute) const override { return !multiplies_fp8(rows_.codes, compute); }
  at::Tensor linear(const at::Tensor& x, const at::Tensor& bias, ops::LinearForm form) const override;
  at::Tensor product(const ops::Rows& x) const override;
  at::Tensor input_gradient(const at::Tensor& g) const override;
  at::Tensor add_linear(at::Tensor sum, const at::Tensor& x) const override;
  at::Tensor add_input_gradient(at::Tensor sum, const at::Tensor& g) const override;

  const Fp8Rows& stored() const { return rows_; }

 private:
  Fp8Rows rows_;
  at::ScalarType dtype_;
};

}  // namespace graft::quant
