#pragma once

#include <c10/core/Device.h>

#include <memory>

namespace graft::train {

/// GPU work recorded once and replayed with one launch: small steps are otherwise bound by the host, which needs longer to launch a kernel
/// than the GPU to run it. Recorded work must not wait for the device, must read and write the same tensors every time, and must not draw
/// random numbers. Tensors made while recording keep their memory as long as the graph lives; each replay overwrites them.
class CudaGraph {
 public:
  virtual ~CudaGraph() = default;
  /// From here on this thread's GPU work (and that of a backward it starts) is recorded, not run.
  virtual void begin() = 0;
  virtual void end() = 0;
  /// Runs what was recorded on the current stream; does not wait for it.
  virtual void replay() = 0;
};

/// Null when this build or machine has no graphs: libgraft_cuda.so (built where nvcc and LibTorch's CUDA libraries are) lies beside
/// libgraft.so and is opened on the first call, because libgraft.so itself needs no CUDA library.
std::unique_ptr<CudaGraph> make_cuda_graph(c10::Device device);

}  // namespace graft::train
