#include "graft/ops/products.h"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <optional>
#include <string_view>

namespace graft::ops {
namespace {

// LibTorch's only products by oneDNN that take ordinary tensors: a Linear with what follows it, made for torch.compile.
using Linear = at::Tensor(const at::Tensor& input, const at::Tensor& weight, const std::optional<at::Tensor>& bias, std::string_view then,
                          c10::List<std::optional<at::Scalar>> scalars, std::optional<std::string_view> algorithm);
using LinearWithOther = at::Tensor(const at::Tensor& input, const at::Tensor& other, const at::Tensor& weight,
                                   const std::optional<at::Tensor>& bias, std::string_view combine);

struct OneDnn {
  c10::TypedOperatorHandle<Linear> linear;
  c10::TypedOperatorHandle<LinearWithOther> linear_with_other;
};

std::optional<c10::OperatorHandle> find(const char* overload) {
  const auto found = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", overload});
  return found && found->hasKernelForDispatchKey(c10::DispatchKey::CPU) ? found : std::nullopt;
}

/// None in a LibTorch that was built without oneDNN.
const OneDnn* onednn() {
  static const std::optional<OneDnn> instance = []() -> std::optional<OneDnn> {
    const auto linear = find(""), with_other = find("binary");
    if (!linear || !with_other) return std::nullopt;
    return OneDnn{linear->typed<Linear>(), with_other->typed<LinearWithOther>()};
  }();
  return instance ? &*instance : nullptr;
}

/// Below this many multiplications a call costs more than a faster kernel saves; a product as narrow as a generated token's row waits for
/// memory, and MKL does it on one thread, which needs no other to be awake.
constexpr int64_t kFewestMultiplications = int64_t{1} << 18, kNarrowest = 8;

bool worthwhile(const at::Tensor& left, const at::Tensor& right) {
  if (!has_onednn_products(left) || right.scalar_type() != at::kFloat) return false;
  if (std::min({left.size(0), left.size(1), right.size(1)}) < kNarrowest) return false;
  // Other strides have no kernel of their own in oneDNN.
  return (right.is_contiguous() || right.t().is_contiguous()) && left.size(0) * left.size(1) * right.size(1) >= kFewestMultiplications;
}

std::optional<at::Tensor> optional(const at::Tensor& tensor) { return tensor.defined() ? std::optional<at::Tensor>(tensor) : std::nullopt; }

}  // namespace

bool has_onednn_products(const at::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && !at::autocast::is_autocast_enabled(at::kCPU) &&
         at::globalContext().userEnabledMkldnn() && onednn() != nullptr;
}

at::Tensor product(const at::Tensor& left, const at::Tensor& right, const at::Tensor& bias) {
  if (worthwhile(left, right))
    return onednn()->linear.call(left, right.t(), optional(bias), "none", c10::List<std::optional<at::Scalar>>(), std::nullopt);
  return bias.defined() ? at::addmm(bias, left, right) : left.mm(right);
}

at::Tensor product_in(at::Tensor buffer, const at::Tensor& left, const at::Tensor& right) {
  return worthwhile(left, right) ? product(left, right) : at::mm_out(buffer, left, right);
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): the caller gives the sum away
at::Tensor add_product(at::Tensor sum, const at::Tensor& left, const at::Tensor& right) {
  if (worthwhile(left, right)) return onednn()->linear_with_other.call(left, sum, right.t(), std::nullopt, "add");
  return sum.addmm_(left, right);
}

at::Tensor scaled_product(const at::Tensor& left, const at::Tensor& right, double scale) {
  if (scale == 1 || has_onednn_products(left)) {
    at::Tensor result = product(left, right);
    return scale == 1 ? result : result.mul_(scale);
  }
  return at::addmm(left.new_empty({1, 1}), left, right, /*beta=*/0, /*alpha=*/scale);
}

at::Tensor master_gradient(const at::Tensor& left, const at::Tensor& right, at::ScalarType dtype) {
  if (left.is_cuda() && dtype == at::kFloat && left.scalar_type() != at::kFloat) return at::mm(left, right, at::kFloat);
  return product(left, right).to(dtype);
}

}  // namespace graft::ops
