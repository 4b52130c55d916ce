#pragma once

#include <ATen/Context.h>
#include <c10/core/Device.h>

#include <functional>
#include <iostream>

namespace graft::test {

/// Runs `body` on the CPU and, when there is one, on the first GPU. Says once what it leaves out: a test that was not run is never silent.
inline void for_each_device(const std::function<void(at::Device)>& body) {
  body(at::kCPU);
  if (at::hasCUDA() && at::getNumGPUs() > 0) return body(at::Device(at::kCUDA, 0));
  static const bool said = (std::cerr << "no CUDA device: its half of the device tests was left out\n", true);
  (void)said;
}

}  // namespace graft::test
