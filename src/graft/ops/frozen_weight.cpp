#include "graft/ops/frozen_weight.h"

#include <ATen/Functions.h>

namespace graft::ops {

at::Tensor FrozenWeight::linear(const at::Tensor& x, const at::Tensor& bias, LinearForm form) const {
  const at::Tensor weight = dense(x.scalar_type());
  if (form == LinearForm::kAddmm) return at::addmm(bias, x, weight.t());
  if (form == LinearForm::kLinear) return at::linear(x, weight, bias);
  if (x.dim() < 3 || !always_flattens()) return x.matmul(weight.t());
  auto shape = x.sizes().vec();
  shape.back() = weight.size(0);
  // Not a view of the product: torch::nn::Linear adds its bias in place, which autograd forbids on a view made inside a function.
  return at::_unsafe_view(x.reshape({-1, weight.size(1)}).mm(weight.t()), shape);
}

at::Tensor FrozenWeight::product(const Rows& x) const { return linear(x.matrix(), {}, LinearForm::kMatmul); }

at::Tensor FrozenWeight::input_gradient(const at::Tensor& g) const { return g.mm(dense(g.scalar_type())); }

void FrozenWeight::add_linear(at::Tensor& sum, const at::Tensor& x) const { sum.addmm_(x, dense(x.scalar_type()).t()); }

void FrozenWeight::add_input_gradient(at::Tensor& sum, const at::Tensor& g) const { sum.addmm_(g, dense(g.scalar_type())); }

at::Tensor FrozenWeight::rows(const at::Tensor& ids) const { return at::embedding(dense(dtype()), ids); }

void DenseWeight::move(at::Device device, at::ScalarType dtype) {
  if (parameter_.device() == device && parameter_.scalar_type() == dtype) return;
  parameter_.set_data(parameter_.detach().to(device, dtype));
}

}  // namespace graft::ops
