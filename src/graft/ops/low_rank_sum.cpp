#include "graft/ops/low_rank_sum.h"

#include "graft/ops/cuda_kernels.h"

namespace graft::ops {

bool keeps_apart(const at::Tensor& like, int64_t width, int64_t rank) {
  return rank > 0 && rank <= cuda::kMostFusedRank && rank % 2 == 0 && width % 8 == 0 && like.scalar_type() != at::kFloat &&
         cuda_kernels_for(like) != nullptr;
}

}  // namespace graft::ops
