#include "graft/ops/low_rank_tiles.cuh"

namespace graft::ops::cuda {
namespace {

using namespace tiles;

template <typename T, int Steps>
__global__ void __launch_bounds__(kThreads, Steps == 1 ? 3 : 1)
    sum_kernel(void* base, LowRank terms, const void* first, const void* second, int64_t rows, int64_t width) {
  const bool has_first = first != nullptr, has_second = second != nullptr;
  for_each_tile<T, Steps, 3, 1>({base, first, second}, {terms}, {base, nullptr, nullptr}, rows, width,
                                [=](Tile<T>(&tile)[3], const Product<T, Steps>(&product)[1], int j, const Place&) {
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

/// A lane's eight neighbours of a row are what one call of the generator decides on.
template <typename T, int Steps, int Count>
__global__ void __launch_bounds__(kThreads) dropped_sum_kernel(void* base, DroppedProducts dropped, int64_t rows, int64_t width) {
  LowRank terms[Count];
  uint64_t round[Count];
#pragma unroll
  for (int n = 0; n < Count; ++n) terms[n] = dropped.terms[n], round[n] = dropped.rules[n].round_now();
  RandomWords random[Count][2];
  for_each_tile<T, Steps, 1, Count>(
      {base}, terms, {base}, rows, width, [&](Tile<T>(&tile)[1], const Product<T, Steps>(&product)[Count], int j, const Place& place) {
        float sum[4];
        tile[0].unpack_into(sum, j);
#pragma unroll
        for (int n = 0; n < Count; ++n) {
          if (j == 0)
            for (int which = 0; which < 2; ++which)
              random[n][which] = dropped.rules[n].numbers(static_cast<uint64_t>(place.at[which]) / kItems, round[n]);
          float part[4] = {};
          product[n].add(part, j);
          for (int i = 0; i < 4; ++i) {
            if (dropped.rules[n].keeps(random[n][i / 2], 2 * j + i % 2)) sum[i] += part[i];
          }
        }
        tile[0].pack_from(sum, j);
      });
}

template <typename T, int Steps>
void launch_dropped(void* base, const DroppedProducts& products, int64_t rows, int64_t width, void* stream) {
  const auto kernel = products.count == 1   ? dropped_sum_kernel<T, Steps, 1>
                      : products.count == 2 ? dropped_sum_kernel<T, Steps, 2>
                                            : dropped_sum_kernel<T, Steps, 3>;
  kernel<<<blocks(rows, width), kThreads, 0, as_stream(stream)>>>(base, products, rows, width);
}

}  // namespace

void low_rank_dropped_sum(Real dtype, void* base, const DroppedProducts& products, int64_t rows, int64_t width, void* stream) {
  if (rows * width == 0) return;
  int64_t rank = 0;
  for (int n = 0; n < products.count; ++n) rank = std::max(rank, products.terms[n].rank);
  check_rank(rank, kMostDroppedRank);
  dispatch_half(dtype, [&](auto type) {
    using T = decltype(type);
    rank <= 16 ? launch_dropped<T, 1>(base, products, rows, width, stream) : launch_dropped<T, 2>(base, products, rows, width, stream);
  });
  check_launch("low_rank_dropped_sum");
}

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
