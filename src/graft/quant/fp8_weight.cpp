#include "graft/quant/fp8_weight.h"

#include <ATen/Functions.h>

namespace graft::quant {

void Fp8Weight::move(at::Device device, at::ScalarType dtype) {
  dtype_ = dtype;
  rows_.codes = rows_.codes.to(device);
  rows_.scales = rows_.scales.to(device);
}

at::Tensor Fp8Weight::product(const ops::Rows& x) const {
  if (accumulates(x.matrix().scalar_type())) return FrozenWeight::product(x);
  return quant::product(x.as<Fp8Rows>([](const at::Tensor& matrix) { return to_fp8(matrix); }), rows_);
}

at::Tensor Fp8Weight::linear(const at::Tensor& x, const at::Tensor& bias, ops::LinearForm form) const {
  if (accumulates(x.scalar_type())) return FrozenWeight::linear(x, bias, form);
  auto shape = x.sizes().vec();
  shape.back() = sizes()[0];
  at::Tensor y = product(ops::Rows(x.reshape({-1, x.size(-1)})));
  if (bias.defined()) y.add_(bias);
  return at::_unsafe_view(y, shape);
}

at::Tensor Fp8Weight::input_gradient(const at::Tensor& g) const {
  if (accumulates(g.scalar_type())) return FrozenWeight::input_gradient(g);
  const auto one = at::ones({sizes()[1], 1}, rows_.scales.options());
  return quant::product(to_fp8(g, rows_.scales), {transposed(rows_.codes), one});
}

at::Tensor Fp8Weight::add_linear(at::Tensor sum, const at::Tensor& x) const {
  if (accumulates(x.scalar_type())) return FrozenWeight::add_linear(std::move(sum), x);
  return sum.add_(product(ops::Rows(x)));
}

at::Tensor Fp8Weight::add_input_gradient(at::Tensor sum, const at::Tensor& g) const {
  if (accumulates(g.scalar_type())) return FrozenWeight::add_input_gradient(std::move(sum), g);
  return sum.add_(input_gradient(g));
}

}  // namespace graft::quant
