#pragma once

#include <optional>

#include "graft/ops/frozen_weight.h"
#include "graft/quant/four_bit.h"

namespace graft::quant {

/// A frozen matrix in 4 bits. Each product decodes it to the compute dtype first, forward and backward; nothing dense is kept.
class FourBitWeight final : public ops::FrozenWeight {
 public:
  /// `dtype` is what the module's parameter says it is. `compute`: a dtype to multiply in other than the input's (what
  /// bnb_4bit_compute_dtype means); the result comes back in the input's.
  FourBitWeight(FourBitTensor tensor, at::ScalarType dtype, std::optional<at::ScalarType> compute = {});

  at::IntArrayRef sizes() const override { return tensor_.shape; }
  at::ScalarType dtype() const override { return dtype_; }
  at::Device device() const override { return tensor_.codes.device(); }
  std::string kind() const override { return to_string(tensor_.type); }
  at::Tensor dense(at::ScalarType dtype) const override { return decode(tensor_, dtype); }
  /// The codes move; a cast changes only what the parameter says.
  void move(at::Device device, at::ScalarType dtype) override;
  at::Tensor linear(const at::Tensor& x, const at::Tensor& bias, ops::LinearForm form) const override;
  at::Tensor input_gradient(const at::Tensor& g) const override;
  at::Tensor add_linear(at::Tensor sum, const at::Tensor& x) const override;
  at::Tensor add_input_gradient(at::Tensor sum, const at::Tensor& g) const override;

  const FourBitTensor& stored() const { return tensor_; }
  std::optional<at::ScalarType> compute() const { return compute_; }

 private:
  bool computes_in(at::ScalarType dtype) const { return !compute_ || *compute_ == dtype; }

  FourBitTensor tensor_;
  at::ScalarType dtype_;
  std::optional<at::ScalarType> compute_;
};

}  // namespace graft::quant
