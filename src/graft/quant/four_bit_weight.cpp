#include "graft/quant/four_bit_weight.h"

namespace graft::quant {

FourBitWeight::FourBitWeight(FourBitTensor tensor, at::ScalarType dtype, std::optional<at::ScalarType> compute)
    : tensor_(std::move(tensor)), dtype_(dtype), compute_(compute) {}

void FourBitWeight::move(at::Device device, at::ScalarType dtype) {
  dtype_ = dtype;
  if (tensor_.codes.device() != device) tensor_.move(device);
}

at::Tensor FourBitWeight::linear(const at::Tensor& x, const at::Tensor& bias, ops::LinearForm form) const {
  if (computes_in(x.scalar_type())) return FrozenWeight::linear(x, bias, form);
  const at::Tensor cast_bias = bias.defined() ? bias.to(*compute_) : bias;
  return FrozenWeight::linear(x.to(*compute_), cast_bias, form).to(x.scalar_type());
}

at::Tensor FourBitWeight::input_gradient(const at::Tensor& g) const {
  if (computes_in(g.scalar_type())) return FrozenWeight::input_gradient(g);
  return FrozenWeight::input_gradient(g.to(*compute_)).to(g.scalar_type());
}

at::Tensor FourBitWeight::add_linear(at::Tensor sum, const at::Tensor& x) const {
  if (computes_in(x.scalar_type())) return FrozenWeight::add_linear(std::move(sum), x);
  return sum.add_(linear(x, {}, ops::LinearForm::kOwn));
}

at::Tensor FourBitWeight::add_input_gradient(at::Tensor sum, const at::Tensor& g) const {
  if (computes_in(g.scalar_type())) return FrozenWeight::add_input_gradient(std::move(sum), g);
  return sum.add_(input_gradient(g));
}

}  // namespace graft::quant
