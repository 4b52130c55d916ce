#include "graft/ops/low_rank_strips.cuh"

/// The two products of x with the factors of adapters that drop x first: every factor drops other entries, x is read once for all of them,
/// and no dropped x is written.
namespace graft::ops::cuda {
namespace {

using namespace tiles;

constexpr int kRank = 16;
static_assert(kMostDroppedFactorRank == kRank);

/// A lane's eight neighbours of a row, those dropped set to zero. `place`: of the tile that they are a part of.
template <typename T>
__device__ inline Tile<T> kept(const Tile<T>& tile, const Place& place, const DropoutRule& rule, uint64_t round) {
  Tile<T> result;
#pragma unroll
  for (int which = 0; which < 2; ++which) {
    const RandomWords numbers = rule.numbers(static_cast<uint64_t>(place.at[which]) / kItems, round);
#pragma unroll
    for (int j = 0; j < kTiles; ++j)
      result.pair[which][j] =
          tile.pair[which][j] & ((rule.keeps(numbers, 2 * j) ? 0x0000ffffu : 0u) | (rule.keeps(numbers, 2 * j + 1) ? 0xffff0000u : 0u));
  }
  return result;
}

/// Forward: a block has 16 whole rows; its warps share their columns tile by tile and add up at the end.
template <typename T, int Count>
__global__ void __launch_bounds__(kThreads, 2) product_kernel(const void* x, const DroppedFactors factors, int64_t rows, int64_t width, void* output) {
  __shared__ float sums[kWarps][kTileRows][Count * kRank];
  const Lane lane;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * kTileRows;
  uint64_t round[Count];
#pragma unroll
  for (int n = 0; n < Count; ++n) round[n] = factors.factor[n].rule.round_now();
  float sum[Count][2][4] = {};
  int64_t column = static_cast<int64_t>(warp) * kTileColumns + kItems * lane.quarter;
  Tile<T> next;
  next.read(x, Place(first_row, rows, column, width, lane));
  for (; column - kItems * lane.quarter < width; column += kWarps * kTileColumns) {
    const Tile<T> tile = next;
    next.read(x, Place(first_row, rows, column + kWarps * kTileColumns, width, lane));
    const Place place(first_row, rows, column, width, lane);
#pragma unroll
    for (int n = 0; n < Count; ++n) {
      const DroppedFactor& factor = factors.factor[n];
      const Tile<T> mine = kept(tile, place, factor.rule, round[n]);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        // Eight neighbours of a row of the factor: mma's second operand with the columns as its inner dimension.
        const int64_t rank = 8 * half + lane.group;
        const auto* from = reinterpret_cast<const uint4*>(static_cast<const T*>(factor.wide) + rank * width + column);
        const uint4 items = rank < factor.rank && column < width ? __ldg(from) : uint4{};
        const unsigned columns[kTiles] = {items.x, items.y, items.z, items.w};
#pragma unroll
        for (int j = 0; j < kTiles; j += 2) {
          const unsigned pairs[4] = {mine.pair[0][j], mine.pair[1][j], mine.pair[0][j + 1], mine.pair[1][j + 1]};
          const unsigned two[2] = {columns[j], columns[j + 1]};
          multiply_add(sum[n][half], pairs, two, T{});
        }
      }
    }
  }
#pragma unroll
  for (int n = 0; n < Count; ++n)
    for (int half = 0; half < 2; ++half)
      for (int i = 0; i < 4; ++i)
        sums[warp][lane.group + 8 * (i / 2)][n * kRank + 8 * half + 2 * lane.quarter + i % 2] = sum[n][half][i];
  __syncthreads();
  for (int entry = static_cast<int>(threadIdx.x); entry < kTileRows * Count * kRank; entry += kThreads) {
    const int row = entry / (Count * kRank), n = entry / kRank % Count, rank = entry % kRank;
    const DroppedFactor& factor = factors.factor[n];
    if (first_row + row >= rows || rank >= factor.rank) continue;
    float total = 0;
    for (int other = 0; other < kWarps; ++other) total += sums[other][row][n * kRank + rank];
    static_cast<T*>(output)[(first_row + row) * factors.total_rank + factor.begin + rank] = from_float<T>(total * factor.scale);
  }
}

// Backward goes down strips: go_down's loop, for one matrix with several narrow ones. One frame for both was tried: it spilled registers in
// SwiGLU's backward, which cost 1.3 % of a 1B step.
constexpr int kStages = 4;
constexpr int kBlocksTogether = 3;

template <typename T, int Count>
__global__ void __launch_bounds__(kStripThreads, kBlocksTogether)
    contraction_kernel(const void* x, const DroppedContractions terms, int64_t rows, int64_t width, int64_t strip_rows) {
  __shared__ uint4 ring[kStages][2][kStripThreads];
  const Strip strip(rows, width, strip_rows);
  const auto fetch_ahead = [&](int stage, int64_t row) {
    if (row < strip.end_row) fetch_tile<T>(ring[stage], x, strip.place(row));
    close_stage();
  };
  for (int stage = 0; stage < kStages - 1; ++stage) fetch_ahead(stage, strip.first_row + stage * kTileRows);
  uint64_t round[Count];
  NarrowRows<T, 1> narrow[Count], next[Count];
  Contraction<T, 1> contraction[Count];
  const auto read_narrow = [&](int n, int64_t row) {
    next[n].read({terms.term[n].narrow, terms.term[n].narrow_stride, nullptr, 0, 0, terms.term[n].rank}, row, strip.end_row, strip.lane);
  };
#pragma unroll
  for (int n = 0; n < Count; ++n) {
    round[n] = terms.term[n].rule.round_now();
    read_narrow(n, strip.first_row);
  }
  int stage = 0;
  for (int64_t row = strip.first_row; row < strip.end_row; row += kTileRows, stage = (stage + 1) % kStages) {
    wait_for_stages<kStages - 2>();
    Tile<T> tile;
    take_tile(tile, ring[stage]);
    fetch_ahead((stage + kStages - 1) % kStages, row + (kStages - 1) * kTileRows);
    const Place place = strip.place(row);
#pragma unroll
    for (int n = 0; n < Count; ++n) {
      narrow[n] = next[n];
      read_narrow(n, row + kTileRows);
      contraction[n].add(narrow[n], kept(tile, place, terms.term[n].rule, round[n]));
    }
  }
#pragma unroll
  for (int n = 0; n < Count; ++n)
    contraction[n].write(terms.partial + (blockIdx.y * Count + n) * kRank * width, strip.column(), width, strip.lane);
}

/// Adds up the strips, in order.
__global__ void finish_kernel(const DroppedContractions terms, int64_t strips, int64_t width) {
  const int64_t column = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x, rank = blockIdx.y, n = blockIdx.z;
  if (column >= width || rank >= terms.term[n].rank) return;
  float total = 0;
  for (int64_t strip = 0; strip < strips; ++strip) total += terms.partial[((strip * terms.count + n) * kRank + rank) * width + column];
  terms.term[n].sum[rank * width + column] = total;
}

/// A row moves one 16-bit number a column; a strip its float sums, written and read.
Strips strips_of(int64_t rows, int64_t width, int count) {
  return cut(rows, width, kBlocksTogether, /*row_bytes=*/2, /*strip_bytes=*/8.0 * kRank * count);
}

}  // namespace

void dropped_products(Real dtype, const void* x, const DroppedFactors& factors, int64_t rows, int64_t width, void* output, void* stream) {
  if (rows == 0) return;
  for (int n = 0; n < factors.count; ++n) check_rank(factors.factor[n].rank, kRank);
  dispatch_half(dtype, [&](auto type) {
    using T = decltype(type);
    const auto kernel = factors.count == 1 ? product_kernel<T, 1> : factors.count == 2 ? product_kernel<T, 2> : product_kernel<T, 3>;
    const auto blocks = static_cast<unsigned>((rows + kTileRows - 1) / kTileRows);
    kernel<<<blocks, kThreads, 0, as_stream(stream)>>>(x, factors, rows, width, output);
  });
  check_launch("dropped_products");
}

int64_t dropped_contractions_partial_size(int64_t rows, int64_t width, int count) {
  return strips_of(rows, width, count).count * count * kRank * width;
}

void dropped_contractions(Real dtype, const void* x, const DroppedContractions& terms, int64_t rows, int64_t width, void* stream) {
  if (width == 0) return;
  for (int n = 0; n < terms.count; ++n) check_rank(terms.term[n].rank, kRank);
  const Strips strips = strips_of(rows, width, terms.count);
  dispatch_half(dtype, [&](auto type) {
    using T = decltype(type);
    const auto kernel = terms.count == 1 ? contraction_kernel<T, 1> : terms.count == 2 ? contraction_kernel<T, 2> : contraction_kernel<T, 3>;
    kernel<<<strips.blocks, kStripThreads, 0, as_stream(stream)>>>(x, terms, rows, width, strips.rows);
  });
  const dim3 blocks(static_cast<unsigned>((width + 255) / 256), kRank, static_cast<unsigned>(terms.count));
  finish_kernel<<<blocks, 256, 0, as_stream(stream)>>>(terms, strips.count, width);
  check_launch("dropped_contractions");
}

}  // namespace graft::ops::cuda
