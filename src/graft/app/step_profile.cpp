#include "graft/app/step_profile.h"

#include <torch/csrc/autograd/profiler_kineto.h>

#include <set>

namespace graft::app {
namespace profiler = torch::profiler::impl;

void StepProfile::on_step(const train::StepRow& row, bool /*due*/) {
  if (row.step == step_ - 1) {
    const std::set<profiler::ActivityType> activities{profiler::ActivityType::CPU, profiler::ActivityType::CUDA};
    const profiler::ProfilerConfig config(profiler::ProfilerState::KINETO);
    torch::autograd::profiler::prepareProfiler(config, activities);
    torch::autograd::profiler::enableProfiler(config, activities, {at::RecordScope::FUNCTION});
  } else if (row.step == step_) {
    torch::autograd::profiler::disableProfiler()->save(file_.string());
  }
}

}  // namespace graft::app
