#include "graft/ops/cuda_kernels.h"

#include <c10/core/impl/VirtualGuardImpl.h>

#include <mutex>

#include "graft/base/error.h"
#include "graft/base/log.h"

namespace graft::ops {

const CudaKernels* compiled_cuda_kernels();  // cuda_table.cpp, or cuda_table_none.cpp in a build without nvcc

const CudaKernels* cuda_kernels_for(const at::Tensor& tensor) {
  if (!tensor.is_cuda()) return nullptr;
  const auto dtype = tensor.scalar_type();
  if (dtype != at::kFloat && dtype != at::kBFloat16 && dtype != at::kHalf) return nullptr;
  const CudaKernels* kernels = compiled_cuda_kernels();
  static std::once_flag once;
  if (kernels == nullptr) {
    std::call_once(once, [] {
      log::warning("this build of graft has no GPU kernels of its own (no nvcc when it was built): LibTorch's are used, which is slower");
    });
  }
  return kernels;
}

CudaLaunch::CudaLaunch(const at::Tensor& tensor)
    : guard_(tensor.device()), stream_(c10::impl::VirtualGuardImpl(tensor.device().type()).getStream(tensor.device()).native_handle()) {}

cuda::Real real_of(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return cuda::Real::kFloat;
    case at::kBFloat16:
      return cuda::Real::kBFloat16;
    case at::kHalf:
      return cuda::Real::kHalf;
    default:
      throw InternalError("no GPU kernel for this dtype");
  }
}

}  // namespace graft::ops
