#include "graft/train/cuda_graph.h"

#include <dlfcn.h>

#include <filesystem>

#include "graft/base/log.h"

namespace graft::train {
namespace {

using Factory = CudaGraph*(int device);

Factory* open_factory() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&make_cuda_graph), &info) == 0 || info.dli_fname == nullptr) return nullptr;
  const auto path = std::filesystem::path(info.dli_fname).parent_path() / "libgraft_cuda.so";
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    log::verbose(std::string("no CUDA graphs: ") + ::dlerror());
    return nullptr;
  }
  return reinterpret_cast<Factory*>(::dlsym(library, "graft_make_cuda_graph"));
}

}  // namespace

std::unique_ptr<CudaGraph> make_cuda_graph(c10::Device device) {
  static Factory* const factory = open_factory();
  if (factory == nullptr || !device.is_cuda()) return nullptr;
  return std::unique_ptr<CudaGraph>(factory(device.index()));
}

}  // namespace graft::train
