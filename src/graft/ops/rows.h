#pragma once

#include <ATen/core/Tensor.h>

#include <any>
#include <utility>

namespace graft::ops {

/// x [..., width] as [rows, width]; a view where its strides allow.
inline at::Tensor as_matrix(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}); }

/// A matrix of activations [rows, width] that several frozen weights are about to be multiplied with. A weight that needs it in another
/// form (FP8) makes that form once for all of them.
class Rows {
 public:
  explicit Rows(at::Tensor matrix) : matrix_(std::move(matrix)) {}
  const at::Tensor& matrix() const { return matrix_; }

  /// The form `make` gives of the matrix, made on first use. A matrix has one other form at a time.
  template <typename Form, typename Make>
  const Form& as(Make make) const {
    if (std::any_cast<Form>(&form_) == nullptr) form_ = make(matrix_);
    return *std::any_cast<Form>(&form_);
  }

 private:
  at::Tensor matrix_;
  mutable std::any form_;
};

}  // namespace graft::ops
