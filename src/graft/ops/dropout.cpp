#include "graft/ops/dropout.h"

#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "graft/base/error.h"
#include "graft/ops/cuda_kernels.h"
#include "graft/ops/dropout_cpu.h"

namespace graft::ops {

Dropout::Dropout(uint64_t seed, double keep, DropoutRound round)
    : seed_(seed), threshold_(static_cast<uint32_t>(std::clamp<double>(std::nearbyint(keep * kAll), 1, kAll))), round_(std::move(round)) {}

DropoutRule Dropout::rule(at::Device device) const {
  if (!round_.on_device.defined()) return {seed_, threshold_, round_.number, nullptr};
  if (round_.on_device.device() == device)
    return {seed_, threshold_, 0, reinterpret_cast<const uint64_t*>(round_.on_device.const_data_ptr<int64_t>())};
  return {seed_, threshold_, static_cast<uint64_t>(round_.on_device.item<int64_t>()), nullptr};
}

at::Tensor drop(const at::Tensor& x, const Dropout& dropout) {
  if (!dropout.drops()) return x;
  const at::Tensor input = x.detach().contiguous();
  const auto size = static_cast<int64_t>(input.element_size());
  if (size != 2 && size != 4 && size != 8) throw InternalError("drop: no such element size");
  if (const auto* kernels = cuda_kernels_for(input)) {
    auto output = at::empty_like(input);
    const CudaLaunch launch(input);
    kernels->drop(input.const_data_ptr(), size, input.numel(), dropout.rule(input.device()), output.mutable_data_ptr(), launch.stream());
    return output;
  }
  const at::Tensor host = input.cpu();
  auto output = at::empty_like(host);
  cpu::drop(host.const_data_ptr(), size, host.numel(), dropout.rule(at::kCPU), output.mutable_data_ptr());
  return output.to(x.device());
}

}  // namespace graft::ops
