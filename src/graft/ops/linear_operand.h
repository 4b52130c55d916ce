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

/// How an adapted weight is recognised and read: none when it is not one, or cannot be expressed as frozen weight + terms (`adapted` tells
/// which). Registered once by the library that defines adapted weights.
using OperandReader = std::optional<LinearOperand> (*)(const at::Tensor& weight, const at::Tensor& x, bool* adapted);
void register_operand_reader(OperandReader reader);

/// x·Wᵀ + bias through the module's own weight, whatever it is.
at::Tensor apply_linear(const LinearParameters& linear, const at::Tensor& x);

}  // namespace graft::ops
