#include "graft/app/cuda_driver.h"

#include <dlfcn.h>

#include <memory>

namespace graft::app {
namespace {

// Four functions of the CUDA driver API, with the types its ABI fixes.
template <typename Function>
Function* symbol(void* library, const char* name) {
  return reinterpret_cast<Function*>(::dlsym(library, name));
}

}  // namespace

DriverFacts ask_driver() {
  DriverFacts facts;
  const std::unique_ptr<void, int (*)(void*)> library(::dlopen("libcuda.so.1", RTLD_NOW), &::dlclose);
  if (!library) return facts.problem = "no NVIDIA driver (libcuda.so.1)", facts;
  const auto init = symbol<int(unsigned)>(library.get(), "cuInit");
  const auto count_devices = symbol<int(int*)>(library.get(), "cuDeviceGetCount");
  const auto device_name = symbol<int(char*, int, int)>(library.get(), "cuDeviceGetName");
  const auto device_memory = symbol<int(size_t*, int)>(library.get(), "cuDeviceTotalMem_v2");
  if (init == nullptr || count_devices == nullptr || device_name == nullptr || device_memory == nullptr)
    return facts.problem = "libcuda.so.1 lacks expected functions", facts;
  if (const int status = init(0); status != 0)
    return facts.problem = "the NVIDIA driver refuses to start (cuInit: error " + std::to_string(status) + ")", facts;
  int count = 0;
  if (count_devices(&count) != 0) return facts.problem = "the NVIDIA driver does not say how many devices there are", facts;
  for (int i = 0; i < count; ++i) {
    char name[256] = {};
    size_t bytes = 0;
    if (device_name(name, sizeof name, i) == 0 && device_memory(&bytes, i) == 0) facts.gpus.push_back({name, bytes});
  }
  return facts;
}

}  // namespace graft::app
