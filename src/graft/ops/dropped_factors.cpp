#include "graft/ops/dropped_factors.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "graft/ops/cuda_kernels.h"
#include "graft/ops/low_rank_sum.h"
#include "graft/ops/products.h"

namespace graft::ops {
namespace {

bool has_kernel(const at::Tensor& x, int64_t rank) {
  return rank <= cuda::kMostDroppedFactorRank && keeps_apart(x, x.size(1), rank) && x.is_contiguous() && is_aligned(x);
}

void products_in_one_pass(const at::Tensor& x, const std::vector<DroppedFactor>& all, size_t begin, size_t end, int64_t first_column,
                          at::Tensor& output) {
  cuda::DroppedFactors factors;
  factors.total_rank = output.size(1);
  for (size_t i = begin; i < end; ++i) {
    const int64_t rank = all[i].a.size(0);
    factors.factor[factors.count++] = {all[i].a.const_data_ptr(), rank, first_column, static_cast<float>(all[i].scale),
                                       all[i].dropout.rule(x.device())};
    first_column += rank;
  }
  const CudaLaunch launch(x);
  cuda_kernels_for(x)->dropped_products(real_of(x), x.const_data_ptr(), factors, x.size(0), x.size(1), output.mutable_data_ptr(),
                                        launch.stream());
}

void contractions_in_one_pass(const at::Tensor& x, const std::vector<DroppedContraction>& all, size_t begin, size_t end,
                              std::vector<at::Tensor>& results) {
  const auto* kernels = cuda_kernels_for(x);
  const auto floats = x.options().dtype(at::kFloat);
  cuda::DroppedContractions terms;
  for (size_t i = begin; i < end; ++i) {
    const auto& [narrow, dropout] = all[i];
    results.push_back(at::empty({narrow.size(1), x.size(1)}, floats));
    terms.term[terms.count++] = {narrow.const_data_ptr(), narrow.stride(0), narrow.size(1), dropout.rule(x.device()),
                                 results.back().mutable_data_ptr<float>()};
  }
  const auto partial = at::empty({kernels->dropped_contractions_partial_size(x.size(0), x.size(1), terms.count)}, floats);
  terms.partial = partial.mutable_data_ptr<float>();
  const CudaLaunch launch(x);
  kernels->dropped_contractions(real_of(x), x.const_data_ptr(), terms, x.size(0), x.size(1), launch.stream());
}

/// The end of the run of items from `begin` on that one launch takes; `begin` itself when it takes none.
template <typename Item, typename Takes>
size_t end_of_run(const std::vector<Item>& items, size_t begin, const Takes& takes) {
  size_t end = begin;
  while (end < items.size() && end - begin < cuda::kMostDroppedFactors && takes(items[end])) ++end;
  return end;
}

}  // namespace

at::Tensor dropped_products(const at::Tensor& x, const std::vector<DroppedFactor>& factors) {
  int64_t total_rank = 0, column = 0;
  for (const DroppedFactor& factor : factors) total_rank += factor.a.size(0);
  auto output = at::empty({x.size(0), total_rank}, x.options());
  const auto takes = [&](const DroppedFactor& factor) { return has_kernel(x, factor.a.size(0)) && is_aligned(factor.a); };
  for (size_t begin = 0; begin < factors.size();) {
    const size_t end = end_of_run(factors, begin, takes);
    if (end > begin) {
      products_in_one_pass(x, factors, begin, end, column, output);
    } else {
      const auto& [a, scale, dropout] = factors[begin];
      output.narrow(1, column, a.size(0)).copy_(scaled_product(drop(x, dropout), a.t(), scale));
    }
    for (const size_t next = std::max(end, begin + 1); begin < next; ++begin) column += factors[begin].a.size(0);
  }
  return output;
}

std::vector<at::Tensor> dropped_contractions(const at::Tensor& x, const std::vector<DroppedContraction>& terms, at::ScalarType dtype) {
  std::vector<at::Tensor> results;
  const auto takes = [&](const DroppedContraction& term) {
    const at::Tensor& q = term.narrow;
    return has_kernel(x, q.size(1)) && q.stride(1) == 1 && q.stride(0) % 4 == 0 && q.storage_offset() % 4 == 0;
  };
  while (results.size() < terms.size()) {
    const size_t begin = results.size(), end = end_of_run(terms, begin, takes);
    if (end > begin)
      contractions_in_one_pass(x, terms, begin, end, results);
    else
      results.push_back(master_gradient(terms[begin].narrow.t(), drop(x, terms[begin].dropout), dtype));
  }
  for (at::Tensor& result : results) result = result.to(dtype);
  return results;
}

}  // namespace graft::ops
