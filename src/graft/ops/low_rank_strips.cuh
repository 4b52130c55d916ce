#pragma once

#include "graft/ops/async_copy.cuh"
#include "graft/ops/low_rank_tiles.cuh"

/// What kernels share that go down a strip of rows in their columns and contract what they see over the rows: narrowᵀ·matrix, summed in a
/// warp's registers. The strips of a column are added up afterwards, in order, so that the same input gives the same bits.
namespace graft::ops::cuda::tiles {

constexpr int kStripWarps = 4;  // of a block, side by side
constexpr int kStripThreads = 32 * kStripWarps;

/// A lane's two 16-byte pieces of a tile, by fetch.
template <typename T>
__device__ inline void fetch_tile(uint4 (&to)[2][kStripThreads], const void* from, const Place& place) {
  for (int which = 0; which < 2; ++which)
    fetch(&to[which][threadIdx.x], static_cast<const T*>(from) + (place.inside[which] ? place.at[which] : 0), place.inside[which]);
}
template <typename T>
__device__ inline void take_tile(Tile<T>& tile, const uint4 (&from)[2][kStripThreads]) {
  for (int which = 0; which < 2; ++which) tile.take(from[which][threadIdx.x], which);
}

/// An 8 x 8 piece that a warp holds in the accumulators' order, turned over its diagonal.
__device__ inline unsigned turned(unsigned pair) {
  unsigned result;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(result) : "r"(pair));
  return result;
}

/// The rank that `turned` leaves in row `row` (of 8) of the first or second half of a step's 16.
__device__ inline int turned_rank(int row, int half) { return 4 * (row / 2) + 2 * half + row % 2; }

/// A warp's 16 rows of a narrow matrix as mma's first operand, as Narrow::tile gives them, from memory.
template <typename T, int Steps>
struct NarrowRows {
  unsigned part[Steps][4];

  __device__ void read(const LowRank& terms, int64_t row, int64_t end_row, Lane lane) {
#pragma unroll
    for (int step = 0; step < Steps; ++step)
      for (int which = 0; which < 2; ++which) {
        const int64_t its_row = row + lane.group + 8 * which, k = 16 * step + 4 * lane.quarter;
        uint2 four{};
        if (its_row < end_row && k < terms.rank)
          four = __ldg(reinterpret_cast<const uint2*>(static_cast<const T*>(terms.narrow) + its_row * terms.narrow_stride + k));
        part[step][which] = four.x, part[step][2 + which] = four.y;
      }
  }
};

/// narrowᵀ·matrix of a warp's 32 columns: 16 · Steps ranks, over all rows of its strip.
template <typename T, int Steps>
struct Contraction {
  float sum[Steps][kTiles][4] = {};

  __device__ void add(const NarrowRows<T, Steps>& narrow, const Tile<T>& matrix) {
    unsigned columns[kTiles][2];
#pragma unroll
    for (int j = 0; j < kTiles; ++j) columns[j][0] = turned(matrix.pair[0][j]), columns[j][1] = turned(matrix.pair[1][j]);
#pragma unroll
    for (int step = 0; step < Steps; ++step) {
      const auto& part = narrow.part[step];
      const unsigned ranks[4] = {turned(part[0]), turned(part[2]), turned(part[1]), turned(part[3])};
#pragma unroll
      for (int j = 0; j < kTiles; ++j) multiply_add(sum[step][j], ranks, columns[j], T{});
    }
  }
  /// to: [16 · Steps, width]; column: the lane's first.
  __device__ void write(float* to, int64_t column, int64_t width, Lane lane) const {
    if (column >= width) return;
#pragma unroll
    for (int step = 0; step < Steps; ++step)
      for (int half = 0; half < 2; ++half) {
        auto* place = reinterpret_cast<float2*>(to + (16 * step + turned_rank(lane.group, half)) * width + column);
#pragma unroll
        for (int j = 0; j < kTiles; ++j) place[j] = {sum[step][j][2 * half], sum[step][j][2 * half + 1]};
      }
  }
};

/// Where a warp is: its 32 columns, and the strip of rows that its block goes down.
struct Strip {
  Lane lane;
  int64_t tile_column, first_row, end_row, width;

  __device__ Strip(int64_t rows, int64_t matrix_width, int64_t strip_rows)
      : tile_column((static_cast<int64_t>(blockIdx.x) * kStripWarps + threadIdx.x / 32) * kTileColumns),
        first_row(blockIdx.y * strip_rows),
        end_row(min(rows, first_row + strip_rows)),
        width(matrix_width) {}
  /// The lane's first column.
  __device__ int64_t column() const { return tile_column + kItems * lane.quarter; }
  __device__ Place place(int64_t row) const { return Place(row, end_row, column(), width, lane); }
};

/// The frame: down the strip tile by tile, body(tiles, narrow rows, wide parts, place) on every one. `Stages` tiles of each matrix are on
/// their way from memory or being worked on.
template <typename T, int Steps, int Stages, int Count, typename Body>
__device__ inline void go_down(const Strip& strip, const void* const (&matrices)[Count], const LowRank (&terms)[Count], Body body) {
  __shared__ uint4 ring[Stages][Count][2][kStripThreads];
  const auto fetch_tiles = [&](int stage, int64_t row) {
    if (row < strip.end_row) {
      const Place place = strip.place(row);
#pragma unroll
      for (int m = 0; m < Count; ++m) fetch_tile<T>(ring[stage][m], matrices[m], place);
    }
    close_stage();
  };
  for (int stage = 0; stage < Stages - 1; ++stage) fetch_tiles(stage, strip.first_row + stage * kTileRows);
  Wide<T, Steps> wide[Count];
  NarrowRows<T, Steps> narrow[Count], next[Count];
#pragma unroll
  for (int m = 0; m < Count; ++m) {
    wide[m].read(terms[m], strip.tile_column, strip.width, strip.lane);
    next[m].read(terms[m], strip.first_row, strip.end_row, strip.lane);
  }
  int stage = 0;
  for (int64_t row = strip.first_row; row < strip.end_row; row += kTileRows, stage = (stage + 1) % Stages) {
    wait_for_stages<Stages - 2>();
    Tile<T> tile[Count];
#pragma unroll
    for (int m = 0; m < Count; ++m) {
      take_tile(tile[m], ring[stage][m]);
      narrow[m] = next[m];
      next[m].read(terms[m], row + kTileRows, strip.end_row, strip.lane);
    }
    fetch_tiles((stage + Stages - 1) % Stages, row + (Stages - 1) * kTileRows);
    body(tile, narrow, wide, strip.place(row));
  }
}

/// A tile's j-th part with its low-rank part added, rounded as a matrix in memory is.
template <typename T, int Steps>
__device__ inline void read_sum(float (&value)[4], const Tile<T>& tile, const NarrowRows<T, Steps>& narrow, const Wide<T, Steps>& wide, int j) {
  tile.unpack_into(value, j);
#pragma unroll
  for (int step = 0; step < Steps; ++step) multiply_add(value, narrow.part[step], wide.part[step][j], T{});
  round_to<T>(value);
}

/// Of the current GPU.
inline int64_t multiprocessors() {
  int device = 0, count = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
  return std::max(count, 1);
}

/// How a [rows, width] matrix is cut up: blocks side by side, and strips of `rows` rows below one another.
struct Strips {
  int64_t count, rows;
  dim3 blocks;
};

/// As few strips as keep all multiprocessors busy to the end. `together`: blocks that run on one; `row_bytes`: what a column of a row moves;
/// `strip_bytes`: what a column of a strip moves besides.
inline Strips cut(int64_t rows, int64_t width, int64_t together, double row_bytes, double strip_bytes) {
  constexpr int64_t kMostStrips = 16;
  const int64_t columns = (width + kStripWarps * kTileColumns - 1) / (kStripWarps * kTileColumns);
  const int64_t tiles_down = (rows + kTileRows - 1) / kTileRows, room = multiprocessors() * together;
  int64_t best = 1;
  double best_score = 0;
  for (int64_t count = 1; count <= std::min(kMostStrips, tiles_down); ++count) {
    const int64_t blocks = columns * count, waves = (blocks + room - 1) / room;
    const double busy = static_cast<double>(blocks) / static_cast<double>(waves * room);
    const double score = busy / (1 + static_cast<double>(count) * strip_bytes / (static_cast<double>(rows) * row_bytes));
    if (score > best_score) best = count, best_score = score;
  }
  return {best, (tiles_down + best - 1) / best * kTileRows, dim3(static_cast<unsigned>(columns), static_cast<unsigned>(best))};
}

}  // namespace graft::ops::cuda::tiles
