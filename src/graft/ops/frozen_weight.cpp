#include "graft/ops/frozen_weight.h"

#include <ATen/Functions.h>

#include "graft/ops/products.h"

namespace graft::ops {

at::Tensor FrozenWeight::linear(const at::Tensor& x, const at::Tensor& bias, LinearForm form) const {
  const at::Tensor weight = dense(x.scalar_type());
  if (form == LinearForm::kAddmm) return at::addmm(bias, x, weight.t());
  if (form == LinearForm::kLinear) return at::linear(x, weight, bias);
  if (form == LinearForm::kMatmul && (x.dim() < 3 || !always_flattens())) return x.matmul(weight.t());
  auto shape = x.sizes().vec();
  shape.back() = weight.size(0);
  const at::Tensor rows = x.reshape({-1, weight.size(1)});
  // Not a view of the product: torch::nn::Linear adds its bias in place, which autograd forbids on a view made inside a function.
  return at::_unsafe_view(form == LinearForm::kOwn ? ops::product(rows, weight.t(), bias) : rows.mm(weight.t()), shape);
}

at::Tensor FrozenWeight::product(const Rows& x) const { return linear(x.matrix(), {}, LinearForm::kOwn); }

at::Tensor FrozenWeight::input_gradient(const at::Tensor& g) const { return ops::product(g, dense(g.scalar_type())); }

at::Tensor FrozenWeight::add_linear(at::Tensor sum, const at::Tensor& x) const {
  return add_product(std::move(sum), x, dense(x.scalar_type()).t());
}

at::Tensor FrozenWeight::add_input_gradient(at::Tensor sum, const at::Tensor& g) const {
  return add_product(std::move(sum), g, dense(g.scalar_type()));
}

at::Tensor FrozenWeight::rows(const at::Tensor& ids) const { return at::embedding(dense(dtype()), ids); }

void DenseWeight::move(at::Device device, at::ScalarType dtype) {
  if (parameter_.device() == device && parameter_.scalar_type() == dtype) return;
  parameter_.set_data(parameter_.detach().to(device, dtype));
}

}  // namespace graft::ops
