#include "graft/ops/products.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>

namespace graft::ops {

at::Tensor scaled_product(const at::Tensor& left, const at::Tensor& right, double scale) {
  if (scale == 1) return left.mm(right);
  return at::addmm(left.new_empty({1, 1}), left, right, /*beta=*/0, /*alpha=*/scale);
}

at::Tensor master_gradient(const at::Tensor& left, const at::Tensor& right, at::ScalarType dtype) {
  if (left.is_cuda() && dtype == at::kFloat && left.scalar_type() != at::kFloat) return at::mm(left, right, at::kFloat);
  return left.mm(right).to(dtype);
}

}  // namespace graft::ops
