#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace graft::app {

/// "" or "auto" (a GPU when the driver has one and LibTorch can use it, else the CPU) | "cpu" | "cuda" | "cuda:N".
/// Opens LibTorch's CUDA library on demand; nothing else links it. Call this before any other use of LibTorch's CUDA hooks.
/// Asking for a GPU that is not there is a UsageError, never a silent fall-back to the CPU.
at::Device resolve_device(const std::string& name);

/// "fp32" | "bf16" | "fp16" (also float32, bfloat16, float16) → the type; "" → fallback. UsageError otherwise.
at::ScalarType resolve_dtype(const std::string& name, at::ScalarType fallback);

/// Bytes that a training run may plan with on this device: what is free now, less a margin for what a prediction cannot know (fragments,
/// workspaces). 0 when the system does not say.
int64_t memory_for_run(at::Device device);

}  // namespace graft::app
