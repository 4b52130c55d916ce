#include "graft/app/gemm_rate.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>

#include <chrono>

namespace graft::app {
namespace {

/// Reading one element waits for everything queued before, on any device.
void wait_for(const at::Tensor& tensor) { static_cast<void>(tensor.flatten()[0].item<float>()); }

}  // namespace

double measured_gemm_rate(at::Device device, at::ScalarType dtype) {
  const at::NoGradGuard no_gradients;
  const int64_t size = device.is_cpu() ? 1024 : 8192;
  constexpr int kWarmup = 3, kTimed = 10;
  const auto options = at::TensorOptions(dtype).device(device);
  // Normal numbers, not zeros: a GPU clocks higher when no bits flip.
  const auto left = at::randn({size, size}, options), right = at::randn({size, size}, options);
  auto product = at::empty({size, size}, options);
  for (int i = 0; i < kWarmup; ++i) at::mm_out(product, left, right);
  wait_for(product);
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kTimed; ++i) at::mm_out(product, left, right);
  wait_for(product);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto wide = static_cast<double>(size);
  return kTimed * 2 * wide * wide * wide / seconds;
}

}  // namespace graft::app
