#include "graft/quant/cuda_kernels.h"

namespace graft::quant {

const CudaKernels* compiled_cuda_kernels() { return nullptr; }

}  // namespace graft::quant
