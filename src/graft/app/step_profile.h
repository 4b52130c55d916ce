#pragma once

#include <cstdint>
#include <filesystem>

#include "graft/train/observer.h"

namespace graft::app {

/// Records what runs on the CPU and the GPU during one optimizer step with LibTorch's profiler and writes it as a Chrome trace (JSON; open
/// it in chrome://tracing or Perfetto). The profiler needs CUPTI for GPU kernels; recording slows that one step down.
class StepProfile : public train::Observer {
 public:
  /// `step` is 1-based and at least 2.
  StepProfile(int64_t step, std::filesystem::path file) : step_(step), file_(std::move(file)) {}
  void on_step(const train::StepRow& row, bool due) override;

 private:
  int64_t step_;
  std::filesystem::path file_;
};

}  // namespace graft::app
