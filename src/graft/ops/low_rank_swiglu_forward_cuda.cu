#include "graft/ops/low_rank_strips.cuh"

namespace graft::ops::cuda {
namespace {

using namespace tiles;

constexpr int kStages = 4;
constexpr int blocks_together(int64_t rank) { return rank <= 16 ? 5 : 4; }

template <typename T, int Steps>
__global__ void __launch_bounds__(kStripThreads, blocks_together(16 * Steps))
    forward_kernel(const void* gate, LowRank gate_terms, const void* up, LowRank up_terms, int64_t rows, int64_t width, int64_t strip_rows,
                   void* output) {
  const Strip strip(rows, width, strip_rows);
  go_down<T, Steps, kStages, 2>(
      strip, {gate, up}, {gate_terms, up_terms},
      [&](Tile<T>(&tile)[2], const NarrowRows<T, Steps>(&narrow)[2], const Wide<T, Steps>(&wide)[2], const Place& place) {
#pragma unroll
        for (int j = 0; j < kTiles; ++j) {
          float g[4], u[4];
          read_sum(g, tile[0], narrow[0], wide[0], j);
          read_sum(u, tile[1], narrow[1], wide[1], j);
          for (int i = 0; i < 4; ++i) g[i] *= sigmoid(g[i]);
          round_to<T>(g);
          for (int i = 0; i < 4; ++i) g[i] *= u[i];
          tile[0].pack_from(g, j);
        }
        tile[0].write(output, place);
      });
}

}  // namespace

void low_rank_swiglu_forward(Real dtype, const void* gate, const LowRank& gate_terms, const void* up, const LowRank& up_terms, int64_t rows,
                             int64_t width, void* output, void* stream) {
  if (rows * width == 0) return;
  const int64_t rank = std::max(gate_terms.rank, up_terms.rank);
  check_rank(rank, kMostActivatedRank);
  const Strips strips = cut(rows, width, blocks_together(rank), /*row_bytes=*/6, /*strip_bytes=*/static_cast<double>(4 * rank));
  dispatch_half(dtype, [&](auto type) {
    using T = decltype(type);
    const auto kernel = rank <= 16 ? forward_kernel<T, 1> : forward_kernel<T, 2>;
    kernel<<<strips.blocks, kStripThreads, 0, as_stream(stream)>>>(gate, gate_terms, up, up_terms, rows, width, strips.rows, output);
  });
  check_launch("low_rank_swiglu_forward");
}

}  // namespace graft::ops::cuda
