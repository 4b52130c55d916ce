#pragma once

#include <ATen/core/Tensor.h>

/// One-pass float32 CPU loops behind rms_norm, rotary and swiglu: LibTorch would make four to nine passes over memory for each.
/// All tensors are contiguous float32 on the CPU (is_fast) and already have the right shapes; outputs are allocated by the caller.
/// Results do not depend on the number of threads: each row or element is computed by one thread in a fixed order.
namespace graft::ops::cpu {

bool is_fast(const at::Tensor& tensor);

/// input, output [rows, width]; reciprocal_root [rows, 1] receives 1 / sqrt(mean(x²) + epsilon).
void rms_norm_forward(const at::Tensor& input, const at::Tensor& weight, float epsilon, at::Tensor& output, at::Tensor& reciprocal_root);
void rms_norm_backward(const at::Tensor& gradient, const at::Tensor& input, const at::Tensor& weight, const at::Tensor& reciprocal_root,
                       at::Tensor& input_gradient);

/// input, output [rows, length, heads, size]; cos, sin [rows or 1, length, size / 2].
void rotary(const at::Tensor& input, const at::Tensor& cos, const at::Tensor& sin, at::Tensor& output);

void swiglu_forward(const at::Tensor& gate, const at::Tensor& up, at::Tensor& output);
/// output: the forward's again.
void swiglu_backward(const at::Tensor& gradient, const at::Tensor& gate, const at::Tensor& up, at::Tensor& gate_gradient,
                     at::Tensor& up_gradient, at::Tensor& output);

}  // namespace graft::ops::cpu
