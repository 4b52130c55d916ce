// libgraft_cuda.so: the one part of graft that is linked with LibTorch's CUDA libraries. Opened by cuda_graph.cpp.
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <optional>

#include "graft/train/cuda_graph.h"

namespace graft::train {
namespace {

class TorchCudaGraph final : public CudaGraph {
 public:
  explicit TorchCudaGraph(c10::DeviceIndex device) : device_(device) {}
  ~TorchCudaGraph() override {
    if (!stream_) return;
    try {  // recording was broken off: the stream must not stay in capture
      graph_.capture_end();
    } catch (const std::exception&) {
    }
  }

  void begin() override {
    c10::cuda::getCurrentCUDAStream(device_).synchronize();
    c10::cuda::CUDACachingAllocator::emptyCache();  // what earlier steps left cached: the graph takes its memory anew
    stream_.emplace(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device_));
    graph_.capture_begin();
  }
  void end() override {
    graph_.capture_end();
    stream_.reset();
  }
  void replay() override { graph_.replay(); }

 private:
  c10::DeviceIndex device_;
  at::cuda::CUDAGraph graph_;
  std::optional<c10::cuda::CUDAStreamGuard> stream_;
};

}  // namespace
}  // namespace graft::train

extern "C" __attribute__((visibility("default"))) graft::train::CudaGraph* graft_make_cuda_graph(int device) {
  return new graft::train::TorchCudaGraph(static_cast<c10::DeviceIndex>(device));
}
