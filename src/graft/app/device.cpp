#include "graft/app/device.h"

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <dlfcn.h>

#include <charconv>
#include <filesystem>

#include "graft/app/cuda_driver.h"
#include "graft/base/error.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"
#include "graft/models/host_memory.h"
#include "graft/models/load.h"

namespace graft::app {
namespace {

/// libtorch_cuda.so lies beside the libtorch_cpu.so that this process uses.
std::filesystem::path cuda_library() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&at::globalContext), &info) == 0 || info.dli_fname == nullptr) return "libtorch_cuda.so";
  return std::filesystem::path(info.dli_fname).parent_path() / "libtorch_cuda.so";
}

/// Empty when CUDA can be used; else why not.
std::string open_cuda() {
  static const std::string problem = [] {
    const auto driver = ask_driver();
    if (!driver.problem.empty()) return driver.problem;
    if (driver.gpus.empty()) return std::string("the driver sees no GPU");
    if (::dlopen(cuda_library().c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
      return "LibTorch's CUDA library cannot be opened: " + std::string(::dlerror());
    }
    return at::globalContext().hasCUDA() ? std::string() : std::string("LibTorch finds no usable GPU");
  }();
  return problem;
}

at::Device cuda_device(int index, const std::string& name) {
  const auto problem = open_cuda();
  if (!problem.empty()) {
    throw UsageError("device \"" + name + "\" was asked for, but " + problem)
        .hint("use --device cpu, or --device auto to take what there is");
  }
  const auto count = static_cast<int>(at::detail::getCUDAHooks().getNumGPUs());
  if (index >= count) {
    throw UsageError("device \"" + name + "\" was asked for, but there are " + std::to_string(count) + " GPUs (numbered from 0)");
  }
  return {at::kCUDA, static_cast<c10::DeviceIndex>(index)};
}

}  // namespace

at::Device resolve_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  if (name.empty() || name == "auto") {
    const auto problem = open_cuda();
    if (problem.empty()) return cuda_device(0, "auto");
    log::verbose("running on the CPU: " + problem);
    return at::kCPU;
  }
  if (name == "cuda") return cuda_device(0, name);
  int index = -1;
  if (starts_with(name, "cuda:")) {
    const char* end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + 5, end, index);
    if (parsed.ec == std::errc() && parsed.ptr == end && index >= 0) return cuda_device(index, name);
  }
  throw UsageError("unknown device \"" + name + "\"")
      .nearest(nearest_name(name, {"auto", "cpu", "cuda", "cuda:0"}))
      .hint("devices are auto, cpu, cuda and cuda:N");
}

at::ScalarType resolve_dtype(const std::string& name, at::ScalarType fallback) { return name.empty() ? fallback : dtype_of(name); }

int64_t memory_for_run(at::Device device) {
  constexpr double kMargin = 0.93;  // predictions are within 5 %
  if (device.is_cpu()) return static_cast<int64_t>(kMargin * static_cast<double>(models::host_memory_limit()));
  const auto [free, total] = at::getDeviceAllocator(device.type())->getMemoryInfo(device.index());
  return static_cast<int64_t>(kMargin * static_cast<double>(free));
}

}  // namespace graft::app
