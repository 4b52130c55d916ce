#pragma once

#include <ATen/core/Tensor.h>

#include "graft/ops/low_rank_sum.h"

/// The arithmetic behind rms_norm, rotary, swiglu and the fused blocks: forward and backward over plain tensors, without a graph. Each
/// picks the one-pass loop or kernel for the device and dtype, else LibTorch's operators. Inputs are contiguous; results are fresh unless
/// said.
namespace graft::ops::elementwise {

struct Normalised {
  at::Tensor sum;              ///< input + addend; input itself without an addend
  at::Tensor output;           ///< round(sum / rms(sum)) · weight, [rows, width]
  at::Tensor reciprocal_root;  ///< float32 [rows, 1]: 1 / sqrt(mean(sum²) + epsilon)
};
/// input [rows, width], addend the same or undefined, weight [width].
Normalised rms_norm(const at::Tensor& input, const at::Tensor& addend, const at::Tensor& weight, double epsilon);

/// dL/dx = r (w g − n mean(w g n)) + addend, with n = x r and r the reciprocal root; addend may be undefined.
at::Tensor rms_norm_input_gradient(const at::Tensor& gradient, const at::Tensor& input, const at::Tensor& weight,
                                   const at::Tensor& reciprocal_root, const at::Tensor& addend);
/// dL/dw = Σ over rows of g n.
at::Tensor rms_norm_weight_gradient(const at::Tensor& gradient, const at::Tensor& input, const at::Tensor& reciprocal_root,
                                    at::ScalarType dtype);

/// input [rows, length, heads, size], cos and sin [rows or 1, length, size / 2], all contiguous; `inverse` turns back. output: the input's
/// shape and dtype; only its positions may lie further apart than their entries reach, at one distance (columns of a wider matrix).
void rotate(const at::Tensor& input, const at::Tensor& cos, const at::Tensor& sin, bool inverse, at::Tensor& output);
/// Copies input, contiguous, to such an output.
void place(const at::Tensor& input, at::Tensor& output);

/// Of matrices [rows, width] whose low-rank parts may be apart (they are added, and rounded, on the way).
at::Tensor swiglu(const LowRankSum& gate, const LowRankSum& up);

struct SwiGluGradients {
  at::Tensor gate, up;
  at::Tensor output;  ///< the forward's result again, for whoever did not keep it; undefined when `narrow_output` is there
  // Sums over the rows that a GPU makes in passing, float32; undefined elsewhere, and where the input has no part that is apart.
  at::Tensor narrow_output;           ///< gradient.narrowᵀ·output, [rank, width]
  at::Tensor gate_narrow, up_narrow;  ///< gradient of gateᵀ·gate.narrow, and the same of up, [width, rank]
};
struct SwiGluBackwardOptions {
  bool in_place = false;   ///< where the device can, the gradients lie over the bases of gate and up, the output over that of `gradient`
  bool contracts = false;  ///< the sums over the rows are wanted
};
SwiGluGradients swiglu_backward(const LowRankSum& gradient, const LowRankSum& gate, const LowRankSum& up,
                                const SwiGluBackwardOptions& options);

}  // namespace graft::ops::elementwise
