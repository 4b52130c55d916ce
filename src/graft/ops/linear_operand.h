#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "graft/ops/linear_group.h"

namespace graft::ops {

/// A Linear's parameters as fused operators take them: the weight may be plain or adapted.
struct LinearParameters {
  at::Tensor weight;  ///< [out, in]
  at::Tensor bias;    ///< [out] or undefined
};

/// Looks through the weights of Linears that are about to be applied to an input like x: what is frozen and what is added. None when some
/// part is trained in place (its own weight or bias requires a gradient, an adapter replaced the whole matrix), or under autocast:
/// then the caller composes plain operators.
std::optional<std::vector<LinearOperand>> look_through(const std::vector<LinearParameters>& linears, const at::Tensor& x);

/// Whether a weight is an ordinary tensor of a CPU or GPU, as opposed to an adapted one that only knows how to be multiplied.
bool is_dense(const at::Tensor& weight);

/// How an adapted weight is recognised and read: none when it is not one, or cannot be expressed as frozen weight + terms (`adapted` tells
/// which). Registered once by the library that defines adapted weights.
using OperandReader = std::optional<LinearOperand> (*)(const at::Tensor& weight, const at::Tensor& x, bool* adapted);
void register_operand_reader(OperandReader reader);

/// x·Wᵀ + bias, whatever the weight is: plain or adapted, frozen or trained. With the same bits, for equal values, in all those cases.
at::Tensor apply_linear(const LinearParameters& linear, const at::Tensor& x);

}  // namespace graft::ops
