#include "graft/ops/low_rank_sum.h"

#include "graft/ops/cuda_kernels.h"

namespace graft::ops {

bool is_aligned(const at::Tensor& matrix) { return reinterpret_cast<uintptr_t>(matrix.const_data_ptr()) % 16 == 0; }

namespace {

bool has_kernels(const at::Tensor& like, int64_t width, int64_t rank) {
  return rank > 0 && rank % 4 == 0 && width % 8 == 0 && like.scalar_type() != at::kFloat && cuda_kernels_for(like) != nullptr;
}

bool has_dropping_kernel(const at::Tensor& base, const DroppedProduct& product) {
  const int64_t rank = product.narrow.size(1);
  return product.dropout.drops() && rank <= cuda::kMostDroppedRank && has_kernels(base, base.size(1), rank) && is_aligned(base);
}

void add_in_one_pass(at::Tensor& base, const std::vector<DroppedProduct>& products, size_t begin, size_t end) {
  cuda::DroppedProducts dropped;
  for (size_t i = begin; i < end; ++i) {
    const auto& [narrow, wide, dropout] = products[i];
    const int n = dropped.count++;
    dropped.terms[n] = terms_of({base, narrow, wide});
    dropped.rules[n] = dropout.rule(base.device());
  }
  const CudaLaunch launch(base);
  cuda_kernels_for(base)->low_rank_dropped_sum(real_of(base), base.mutable_data_ptr(), dropped, base.size(0), base.size(1),
                                               launch.stream());
}

}  // namespace

bool keeps_apart(const at::Tensor& like, int64_t width, int64_t rank) {
  return rank <= cuda::kMostActivatedRank && has_kernels(like, width, rank);
}

cuda::LowRank terms_of(const LowRankSum& sum) {
  if (!sum.narrow.defined()) return {};
  return {sum.narrow.const_data_ptr(), sum.narrow.stride(0), sum.wide.const_data_ptr(),
          sum.wide.stride(0),          sum.wide.stride(1),   sum.wide.size(1)};
}

at::Tensor add_up(const LowRankSum& sum, const std::vector<at::Tensor>& addends) {
  at::Tensor base = sum.base;
  bool aligned = sum.narrow.defined() && sum.narrow.storage_offset() % 4 == 0 && sum.narrow.stride(0) % 4 == 0 && is_aligned(base);
  for (const at::Tensor& addend : addends) aligned = aligned && is_aligned(addend);
  if (aligned && addends.size() <= 2 && sum.wide.size(1) <= cuda::kMostSummedRank && has_kernels(base, base.size(1), sum.wide.size(1))) {
    const auto data = [&](size_t i) { return i < addends.size() ? addends[i].const_data_ptr() : nullptr; };
    const CudaLaunch launch(base);
    cuda_kernels_for(base)->low_rank_sum(real_of(base), base.mutable_data_ptr(), terms_of(sum), data(0), data(1), base.size(0),
                                         base.size(1), launch.stream());
    return base;
  }
  if (sum.narrow.defined()) base.addmm_(sum.narrow, sum.wide.t());
  for (const at::Tensor& addend : addends) base.add_(addend);
  return base;
}

void add_dropped(at::Tensor& base, const std::vector<DroppedProduct>& products) {
  for (size_t begin = 0; begin < products.size();) {
    size_t end = begin;
    while (end < products.size() && end - begin < cuda::kMostDroppedProducts && has_dropping_kernel(base, products[end])) ++end;
    if (end > begin) {
      add_in_one_pass(base, products, begin, end);
      begin = end;
      continue;
    }
    const auto& [narrow, wide, dropout] = products[begin++];
    if (dropout.drops())
      base.add_(drop(narrow.mm(wide.t()), dropout));
    else
      base.addmm_(narrow, wide.t());
  }
}

}  // namespace graft::ops
