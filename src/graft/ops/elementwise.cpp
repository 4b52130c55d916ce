#include "graft/ops/elementwise.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>

#include <algorithm>

#include "graft/ops/cuda_kernels.h"
#include "graft/ops/elementwise_cpu.h"

namespace graft::ops::elementwise {
namespace {

const void* data_of(const at::Tensor& tensor) { return tensor.defined() ? tensor.const_data_ptr() : nullptr; }

/// The kernel table when all tensors can go to one kernel call.
const CudaKernels* kernels_for(const at::Tensor& input, const at::Tensor& other) {
  return other.scalar_type() == input.scalar_type() ? cuda_kernels_for(input) : nullptr;
}

int64_t rank_of(const LowRankSum& sum) { return sum.narrow.defined() ? sum.narrow.size(1) : 0; }

bool are_fast(std::initializer_list<at::Tensor> tensors) {
  for (const auto& tensor : tensors)
    if (!cpu::is_fast(tensor)) return false;
  return true;
}

/// Where the wanted sums of swiglu_backward go; `partial` is what the kernel works in.
cuda::SwiGluContractions contractions_into(SwiGluGradients& result, const LowRankSum& gradient, const LowRankSum& gate,
                                           const LowRankSum& up, const at::Tensor& partial) {
  const auto floats = partial.options();
  const int64_t width = gate.base.size(1);
  if (gradient.narrow.defined()) result.narrow_output = at::empty({rank_of(gradient), width}, floats);
  if (gate.narrow.defined()) result.gate_narrow = at::empty({width, rank_of(gate)}, floats);
  if (up.narrow.defined()) result.up_narrow = at::empty({width, rank_of(up)}, floats);
  const auto data = [](const at::Tensor& sum) { return sum.defined() ? sum.mutable_data_ptr<float>() : nullptr; };
  return {data(partial), data(result.narrow_output), data(result.gate_narrow), data(result.up_narrow)};
}

SwiGluGradients swiglu_backward_on_gpu(const CudaKernels& kernels, const LowRankSum& gradient, const LowRankSum& gate, const LowRankSum& up,
                                       const SwiGluBackwardOptions& options) {
  const at::Tensor &d = gradient.base, &g = gate.base, &u = up.base;
  const auto place = [&](const at::Tensor& input) { return options.in_place ? input : at::empty_like(input); };
  SwiGluGradients result{place(g), place(u), {}, {}, {}, {}};
  const int64_t rows = g.size(0), width = g.size(1), rank = std::max({rank_of(gradient), rank_of(gate), rank_of(up)});
  cuda::SwiGluContractions sums;
  at::Tensor partial;  // until the launch
  if (options.contracts && rank > 0) {
    partial = at::empty({kernels.low_rank_swiglu_partial_size(rows, width, rank)}, g.options().dtype(at::kFloat));
    sums = contractions_into(result, gradient, gate, up, partial);
  }
  if (!result.narrow_output.defined()) result.output = place(d);
  void* output = result.output.defined() ? result.output.mutable_data_ptr() : nullptr;
  const CudaLaunch launch(g);
  if (rank > 0)
    kernels.low_rank_swiglu_backward(real_of(g), d.const_data_ptr(), terms_of(gradient), g.const_data_ptr(), terms_of(gate),
                                     u.const_data_ptr(), terms_of(up), rows, width, result.gate.mutable_data_ptr(),
                                     result.up.mutable_data_ptr(), output, sums, launch.stream());
  else
    kernels.swiglu_backward(real_of(g), d.const_data_ptr(), g.const_data_ptr(), u.const_data_ptr(), g.numel(),
                            result.gate.mutable_data_ptr(), result.up.mutable_data_ptr(), output, launch.stream());
  return result;
}

}  // namespace

Normalised rms_norm(const at::Tensor& input, const at::Tensor& addend, const at::Tensor& weight, double epsilon) {
  if (const auto* kernels = kernels_for(input, weight)) {
    Normalised result{addend.defined() ? at::empty_like(input) : input, at::empty_like(input),
                      at::empty({input.size(0), 1}, input.options().dtype(at::kFloat))};
    const CudaLaunch launch(input);
    kernels->rms_norm_forward(real_of(input), input.const_data_ptr(), data_of(addend), weight.const_data_ptr(), static_cast<float>(epsilon),
                              input.size(0), input.size(1), addend.defined() ? result.sum.mutable_data_ptr() : nullptr,
                              result.output.mutable_data_ptr(), result.reciprocal_root.mutable_data_ptr<float>(), launch.stream());
    return result;
  }
  const at::Tensor sum = addend.defined() ? input + addend : input;
  if (are_fast({sum, weight})) {
    Normalised result{sum, at::empty_like(sum), at::empty({sum.size(0), 1}, sum.options())};
    cpu::rms_norm_forward(sum, weight, static_cast<float>(epsilon), result.output, result.reciprocal_root);
    return result;
  }
  const auto wide = sum.to(at::kFloat);
  const auto root = at::rsqrt(wide.square().mean(-1, /*keepdim=*/true).add_(epsilon));
  return {sum, (wide * root).to(sum.scalar_type()) * weight.to(sum.scalar_type()), root};
}

at::Tensor rms_norm_input_gradient(const at::Tensor& gradient, const at::Tensor& input, const at::Tensor& weight,
                                   const at::Tensor& reciprocal_root, const at::Tensor& addend) {
  if (const auto* kernels = kernels_for(input, weight)) {
    auto result = at::empty_like(input);
    const CudaLaunch launch(input);
    kernels->rms_norm_backward(real_of(input), gradient.const_data_ptr(), input.const_data_ptr(), weight.const_data_ptr(),
                               reciprocal_root.const_data_ptr<float>(), data_of(addend), input.size(0), input.size(1),
                               result.mutable_data_ptr(), launch.stream());
    return result;
  }
  at::Tensor result;
  if (are_fast({gradient, input, weight})) {
    result = at::empty_like(input);
    cpu::rms_norm_backward(gradient, input, weight, reciprocal_root, result);
  } else {
    const auto normalised = input.to(at::kFloat) * reciprocal_root;
    const auto scaled = gradient.to(at::kFloat) * weight.to(at::kFloat);
    const auto projection = (scaled * normalised).mean(-1, /*keepdim=*/true);
    result = (scaled - normalised * projection).mul_(reciprocal_root).to(input.scalar_type());
  }
  return addend.defined() ? result.add_(addend) : result;
}

at::Tensor rms_norm_weight_gradient(const at::Tensor& gradient, const at::Tensor& input, const at::Tensor& reciprocal_root,
                                    at::ScalarType dtype) {
  const auto normalised = (input.to(at::kFloat) * reciprocal_root).to(input.scalar_type()).to(at::kFloat);
  return (gradient.to(at::kFloat) * normalised).sum(0).to(dtype);
}

void rotate(const at::Tensor& input, const at::Tensor& cos, const at::Tensor& sin, bool inverse, at::Tensor& output) {
  if (const auto* kernels = kernels_for(input, cos)) {
    const CudaLaunch launch(input);
    kernels->rotary(real_of(input), input.const_data_ptr(), cos.const_data_ptr(), sin.const_data_ptr(), input.size(0), input.size(1),
                    input.size(2), input.size(3), cos.size(0), inverse ? -1.0f : 1.0f, output.mutable_data_ptr(), output.stride(1),
                    launch.stream());
    return;
  }
  const auto signed_sin = inverse ? sin.neg() : sin;
  if (are_fast({input, cos, sin})) return cpu::rotary(input, cos, signed_sin, output);
  const int64_t half = input.size(-1) / 2;
  const auto first = input.narrow(-1, 0, half), second = input.narrow(-1, half, half);
  const auto c = cos.unsqueeze(2), s = signed_sin.unsqueeze(2);
  output.copy_(at::cat({first * c - second * s, second * c + first * s}, -1));
}

void place(const at::Tensor& input, at::Tensor& output) {
  const auto* kernels = kernels_for(input, output);
  if (kernels == nullptr) {
    output.copy_(input);
    return;
  }
  const CudaLaunch launch(input);
  kernels->place_columns(real_of(input), input.const_data_ptr(), input.size(0) * input.size(1), input.size(2) * input.size(3),
                         output.mutable_data_ptr(), output.stride(1), launch.stream());
}

at::Tensor swiglu(const LowRankSum& gate, const LowRankSum& up) {
  const at::Tensor &g = gate.base, &u = up.base;
  if (const auto* kernels = kernels_for(g, u)) {
    auto output = at::empty_like(g);
    const CudaLaunch launch(g);
    if (gate.narrow.defined() || up.narrow.defined())
      kernels->low_rank_swiglu_forward(real_of(g), g.const_data_ptr(), terms_of(gate), u.const_data_ptr(), terms_of(up), g.size(0),
                                       g.size(1), output.mutable_data_ptr(), launch.stream());
    else
      kernels->swiglu_forward(real_of(g), g.const_data_ptr(), u.const_data_ptr(), g.numel(), output.mutable_data_ptr(), launch.stream());
    return output;
  }
  if (!are_fast({g, u})) return at::silu(g).mul_(u);
  auto output = at::empty_like(g);
  cpu::swiglu_forward(g, u, output);
  return output;
}

SwiGluGradients swiglu_backward(const LowRankSum& gradient, const LowRankSum& gate, const LowRankSum& up,
                                const SwiGluBackwardOptions& options) {
  const at::Tensor &d = gradient.base, &g = gate.base, &u = up.base;
  if (const auto* kernels = kernels_for(g, u)) return swiglu_backward_on_gpu(*kernels, gradient, gate, up, options);
  if (!are_fast({d, g, u})) {
    const auto silu = at::silu(g);
    return {at::silu_backward(d * u, g), silu * d, silu * u, {}, {}, {}};
  }
  SwiGluGradients result{at::empty_like(g), at::empty_like(u), at::empty_like(g), {}, {}, {}};
  cpu::swiglu_backward(d, g, u, result.gate, result.up, result.output);
  return result;
}

}  // namespace graft::ops::elementwise
