#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace graft::app {

struct GpuFacts {
  std::string name;
  uint64_t memory_bytes = 0;
};

/// What NVIDIA's driver says, asked through libcuda.so.1 opened here: no toolkit, no header, no CUDA context.
/// `problem` is empty when the driver answered; a machine without a driver has no GPUs and a problem that says so.
struct DriverFacts {
  std::vector<GpuFacts> gpus;
  std::string problem;
};
DriverFacts ask_driver();

}  // namespace graft::app
