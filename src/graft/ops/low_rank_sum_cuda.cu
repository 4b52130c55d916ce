#include "graft/ops/low_rank_tiles.cuh"

namespace graft::ops::cuda {
namespace {

using namespace tiles;

template <typename T, int Steps>
__global__ void __launch_bounds__(kThreads, Steps == 1 ? 3 : 1)
    sum_kernel(void* base, LowRank terms, const void* first, const void* second, int64_t rows, int64_t width) {
  const bool has_first = first != nullptr, has_second = second != nullptr;
  for_each_tile<T, Steps, 3, 1>({base, first, second}, {terms}, {base, nullptr, nullptr}, rows, width,
                                [=](Tile<T>(&tile)[3], const Product<T, Steps>(&product)[1], int j) {
                                  float sum[4], addend[4];
                                  tile[0].unpack_into(sum, j);
                                  if (has_first) {
                                    tile[1].unpack_into(addend, j);
                                    for (int i = 0; i < 4; ++i) sum[i] += addend[i];
                                  }
                                  if (has_second) {
                                    tile[2].unpack_into(addend, j);
                                    for (int i = 0; i < 4; ++i) sum[i] += addend[i];
                                  }
                                  product[0].add(sum, j);
                                  tile[0].pack_from(sum, j);
                                });
}

}  // namespace

void low_rank_sum(Real dtype, void* base, const LowRank& terms, const void* first, const void* second, int64_t rows, int64_t width,
                  void* stream) {
  if (rows * width == 0) return;
  check_rank(terms.rank, kMostSummedRank);
  dispatch_half(dtype, [&](auto type) {
    using T = decltype(type);
    const auto kernel = terms.rank <= 16 ? sum_kernel<T, 1> : terms.rank <= 32 ? sum_kernel<T, 2> : sum_kernel<T, 4>;
    kernel<<<blocks(rows, width), kThreads, 0, as_stream(stream)>>>(base, terms, first, second, rows, width);
  });
  check_launch("low_rank_sum");
}

}  // namespace graft::ops::cuda
