#include "graft/ops/low_rank_strips.cuh"

/// SwiGLU's backward, and what needs its results while they are in registers: going down its strip a warp also contracts what it makes over
/// the rows.
namespace graft::ops::cuda {
namespace {

using namespace tiles;

constexpr int kMatrices = 3;  // the gradient, gate, up; then the output, gate's gradient, up's gradient
constexpr int kStages = 4;    // what 48 KiB of shared memory hold
constexpr int blocks_together(int64_t rank) { return rank <= 16 ? 3 : 2; }
constexpr int64_t padded(int64_t rank) { return rank <= 16 ? 16 : 32; }

struct Arguments {
  const void* matrix[kMatrices];
  LowRank terms[kMatrices];
  void* result[kMatrices];  // null: not written
  float* partial;           // [strips, kMatrices, padded rank, width]
  int64_t rows, width, strip_rows;
};

/// From the output's gradient d, gate and up, whose low-rank parts are added here: the output, and the gradients of gate and up, in their
/// places.
template <typename T>
__device__ inline void differentiate(float (&d)[4], float (&g)[4], float (&u)[4]) {
  float slope[4], silu[4];
  for (int i = 0; i < 4; ++i) slope[i] = sigmoid(g[i]), silu[i] = g[i] * slope[i];
  round_to<T>(silu);
  for (int i = 0; i < 4; ++i) {
    g[i] = d[i] * u[i] * slope[i] * (1.0f + g[i] * (1.0f - slope[i]));
    const float upper = u[i];
    u[i] = d[i] * silu[i];
    d[i] = silu[i] * upper;
  }
}

template <typename T, int Steps, bool Contracts>
__global__ void __launch_bounds__(kStripThreads, blocks_together(16 * Steps)) backward_kernel(const Arguments arguments) {
  const Strip strip(arguments.rows, arguments.width, arguments.strip_rows);
  Contraction<T, Steps> contraction[kMatrices];
  go_down<T, Steps, kStages>(
      strip, arguments.matrix, arguments.terms,
      [&](Tile<T>(&tile)[kMatrices], const NarrowRows<T, Steps>(&narrow)[kMatrices], const Wide<T, Steps>(&wide)[kMatrices], const Place& place) {
#pragma unroll
        for (int j = 0; j < kTiles; ++j) {
          float value[kMatrices][4];
#pragma unroll
          for (int m = 0; m < kMatrices; ++m) read_sum(value[m], tile[m], narrow[m], wide[m], j);
          differentiate<T>(value[0], value[1], value[2]);
#pragma unroll
          for (int m = 0; m < kMatrices; ++m) tile[m].pack_from(value[m], j);
        }
#pragma unroll
        for (int m = 0; m < kMatrices; ++m) {
          if (arguments.result[m] != nullptr) tile[m].write(arguments.result[m], place);
          if constexpr (Contracts) contraction[m].add(narrow[m], tile[m]);
        }
      });
  if constexpr (Contracts) {
#pragma unroll
    for (int m = 0; m < kMatrices; ++m)
      contraction[m].write(arguments.partial + (blockIdx.y * kMatrices + m) * 16 * Steps * strip.width, strip.column(), strip.width,
                           strip.lane);
  }
}

/// Where the finished contractions go; null: nobody wants it.
struct Finished {
  float* sum[kMatrices];
  int64_t rank[kMatrices];
};

/// Adds up the strips: a thread takes four ranks of a column. The output's contraction is laid out [rank, width], the others' [width, rank].
__global__ void finish_kernel(const float* partial, int64_t strips, int64_t padded_rank, int64_t width, const Finished finished) {
  const int64_t column = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x, first = 4 * static_cast<int64_t>(blockIdx.y);
  const int64_t matrix = blockIdx.z, ranks = finished.rank[matrix];
  float* sum = finished.sum[matrix];
  if (sum == nullptr || column >= width || first >= ranks) return;
  float total[4] = {};
  for (int64_t strip = 0; strip < strips; ++strip)
    for (int i = 0; i < 4; ++i) total[i] += partial[((strip * kMatrices + matrix) * padded_rank + first + i) * width + column];
  for (int i = 0; i < 4; ++i) sum[matrix == 0 ? (first + i) * width + column : column * ranks + first + i] = total[i];
}

/// A row moves five 16-bit numbers a column; a strip three float sums a rank, written and read.
Strips strips_of(int64_t rows, int64_t width, int64_t rank) {
  return cut(rows, width, blocks_together(rank), /*row_bytes=*/10, /*strip_bytes=*/static_cast<double>(24 * padded(rank)));
}

}  // namespace

int64_t low_rank_swiglu_partial_size(int64_t rows, int64_t width, int64_t rank) {
  return strips_of(rows, width, rank).count * kMatrices * padded(rank) * width;
}

void low_rank_swiglu_backward(Real dtype, const void* gradient, const LowRank& gradient_terms, const void* gate, const LowRank& gate_terms,
                              const void* up, const LowRank& up_terms, int64_t rows, int64_t width, void* gate_gradient, void* up_gradient,
                              void* output, const SwiGluContractions& contractions, void* stream) {
  if (rows * width == 0) return;
  const int64_t rank = std::max({gradient_terms.rank, gate_terms.rank, up_terms.rank});
  check_rank(rank, kMostActivatedRank);
  const Strips strips = strips_of(rows, width, rank);
  const Arguments arguments{{gradient, gate, up},
                            {gradient_terms, gate_terms, up_terms},
                            {output, gate_gradient, up_gradient},
                            contractions.partial,
                            rows,
                            width,
                            strips.rows};
  const bool contracts = contractions.partial != nullptr;
  dispatch_half(dtype, [&](auto type) {
    using T = decltype(type);
    const auto kernel = rank <= 16 ? (contracts ? backward_kernel<T, 1, true> : backward_kernel<T, 1, false>)
                                   : (contracts ? backward_kernel<T, 2, true> : backward_kernel<T, 2, false>);
    kernel<<<strips.blocks, kStripThreads, 0, as_stream(stream)>>>(arguments);
  });
  if (contracts) {
    const dim3 blocks(static_cast<unsigned>((width + 255) / 256), static_cast<unsigned>(rank / 4), kMatrices);
    finish_kernel<<<blocks, 256, 0, as_stream(stream)>>>(contractions.partial, strips.count, padded(rank), width,
                                                         {{contractions.output, contractions.gate, contractions.up},
                                                          {gradient_terms.rank, gate_terms.rank, up_terms.rank}});
  }
  check_launch("low_rank_swiglu_backward");
}

}  // namespace graft::ops::cuda
