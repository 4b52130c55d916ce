#pragma once

#include <algorithm>

#include "graft/ops/device_types.cuh"

/// What the low_rank_*_cuda.cu files share: matrices whose low-rank parts are added in registers. A warp takes tiles of 16 rows x 32
/// columns, lays base values out as the accumulators of mma.m16n8k16, lets the tensor cores add narrow·wideᵀ, and goes on with the sums.
/// Narrow rows are shared by the warps of a block through shared memory; a warp's part of the wide matrices stays in its registers while it
/// goes down the rows.
namespace graft::ops::cuda::tiles {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr int kTileRows = 16;
constexpr int kTileColumns = 32;  // four mma tiles of 8
constexpr int kTiles = kTileColumns / 8;
constexpr int kRowTiles = 4;  // that a block goes through
constexpr int kItems = 8;     // neighbours of one row that a lane holds: one 16-byte access

__device__ inline void multiply_add(float (&sum)[4], const unsigned (&a)[4], const unsigned (&b)[2], __nv_bfloat16) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ inline void multiply_add(float (&sum)[4], const unsigned (&a)[4], const unsigned (&b)[2], __half) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// A lane's place in a warp's tile: rows `group` and `group + 8`, and eight neighbouring columns from 8·`quarter` on. The n-th column of
/// mma tile j is column 8·(n / 2) + 2·j + n % 2 of the tile, so that what the accumulators of a lane hold lies side by side in memory.
struct Lane {
  int group = static_cast<int>(threadIdx.x) % 32 / 4;
  int quarter = static_cast<int>(threadIdx.x) % 4;
};

/// This warp's 32 columns of a wide matrix as mma's second operand. The order of the 16 ranks of a step is free as long as both operands
/// agree: a lane takes ranks 4·quarter … 4·quarter + 3, which lie side by side.
template <typename T, int Steps>
struct Wide {
  unsigned part[Steps][kTiles][2];

  __device__ void read(const LowRank& terms, int64_t first_column, int64_t width, Lane lane) {
    const T* wide = static_cast<const T*>(terms.wide);
    const bool side_by_side = terms.wide_step == 1 && terms.wide_stride % 4 == 0 && reinterpret_cast<uintptr_t>(wide) % sizeof(uint2) == 0;
#pragma unroll
    for (int step = 0; step < Steps; ++step)
#pragma unroll
      for (int j = 0; j < kTiles; ++j) {
        const int64_t column = first_column + 8 * (lane.group / 2) + 2 * j + lane.group % 2, k = 16 * step + 4 * lane.quarter;
        const T* entry = wide + column * terms.wide_stride + k * terms.wide_step;
        uint2 four{};
        if (column < width && k < terms.rank) four = side_by_side ? *reinterpret_cast<const uint2*>(entry) : gather(entry, terms.wide_step);
        part[step][j][0] = four.x, part[step][j][1] = four.y;
      }
  }

 private:
  __device__ static uint2 gather(const T* entry, int64_t step) {
    Vector<T, 4> four;
    for (int i = 0; i < 4; ++i) four.item[i] = entry[i * step];
    return *reinterpret_cast<const uint2*>(&four);
  }
};

/// A block's rows of a narrow matrix in shared memory, and a warp's tile of them as mma's first operand.
template <typename T, int Steps>
struct Narrow {
  static constexpr int kRows = kRowTiles * kTileRows;
  static constexpr int kStride = 16 * Steps + (Steps == 1 ? 0 : 8);  // in elements; keeps the rows of a tile out of one memory bank
  alignas(16) T rows[kRows * kStride];

  /// By all threads of the block; __syncthreads() is the caller's.
  __device__ void fill(const LowRank& terms, int64_t first_row, int64_t end_row) {
    constexpr int kPieces = 4 * Steps;  // of four ranks in a row
    for (int i = threadIdx.x; i < kRows * kPieces; i += kThreads) {
      const int row = i / kPieces, k = i % kPieces * 4;
      uint2 four{};
      if (first_row + row < end_row && k < terms.rank)
        four = *reinterpret_cast<const uint2*>(static_cast<const T*>(terms.narrow) + (first_row + row) * terms.narrow_stride + k);
      *reinterpret_cast<uint2*>(rows + row * kStride + k) = four;
    }
  }
  __device__ void tile(int row, int step, Lane lane, unsigned (&part)[4]) const {
    const T* from = rows + (row + lane.group) * kStride + 16 * step + 4 * lane.quarter;
    const uint2 upper = *reinterpret_cast<const uint2*>(from), lower = *reinterpret_cast<const uint2*>(from + 8 * kStride);
    part[0] = upper.x, part[1] = lower.x, part[2] = upper.y, part[3] = lower.y;
  }
};

/// Two neighbours in one register. Converting them together keeps to the fast units: single conversions to 16 bits run at a quarter of the
/// rate.
__device__ inline float2 unpack(unsigned pair, __nv_bfloat16) { return {__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u)}; }
__device__ inline float2 unpack(unsigned pair, __half) { return __half22float2(*reinterpret_cast<const __half2*>(&pair)); }
__device__ inline unsigned pack(float low, float high, __nv_bfloat16) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const unsigned*>(&pair);
}
__device__ inline unsigned pack(float low, float high, __half) {
  const __half2 pair = __floats2half2_rn(low, high);
  return *reinterpret_cast<const unsigned*>(&pair);
}

/// Where a lane's two pieces of a tile begin, in elements of a [rows, width] matrix, and whether they are inside it.
struct Place {
  int64_t at[2];
  bool inside[2];
  __device__ Place(int64_t row, int64_t rows, int64_t column, int64_t width, Lane lane) {
    for (int which = 0; which < 2; ++which) {
      const int64_t its_row = row + lane.group + 8 * which;
      at[which] = its_row * width + column;
      inside[which] = its_row < rows && column < width;
    }
  }
};

/// What a lane holds of a tile, as it lies in memory: [which of its two rows][mma tile], two neighbours each.
template <typename T>
struct Tile {
  unsigned pair[2][kTiles];

  __device__ void read(const void* from, const Place& place) {
    for (int which = 0; which < 2; ++which) {
      const auto* piece = reinterpret_cast<const uint4*>(static_cast<const T*>(from) + place.at[which]);
      take(place.inside[which] ? *piece : uint4{}, which);
    }
  }
  __device__ void take(uint4 items, int which) {
    pair[which][0] = items.x, pair[which][1] = items.y, pair[which][2] = items.z, pair[which][3] = items.w;
  }
  __device__ void write(void* to, const Place& place) const {
    for (int which = 0; which < 2; ++which) {
      if (!place.inside[which]) continue;
      // Written as an instruction: from a struct of four the compiler makes four stores.
      asm volatile("st.global.v4.b32 [%0], {%1,%2,%3,%4};" ::"l"(static_cast<T*>(to) + place.at[which]), "r"(pair[which][0]),
                   "r"(pair[which][1]), "r"(pair[which][2]), "r"(pair[which][3])
                   : "memory");
    }
  }
  /// The four numbers of an mma tile in the order of its accumulators.
  __device__ void unpack_into(float (&value)[4], int j) const {
    const float2 upper = unpack(pair[0][j], T{}), lower = unpack(pair[1][j], T{});
    value[0] = upper.x, value[1] = upper.y, value[2] = lower.x, value[3] = lower.y;
  }
  __device__ void pack_from(const float (&value)[4], int j) {
    pair[0][j] = pack(value[0], value[1], T{});
    pair[1][j] = pack(value[2], value[3], T{});
  }
};

/// 1 / (1 + 2^(−value / ln 2)) in the special-function unit, without the slow paths for denormal numbers and exact division, which would
/// cost more than the rest of the kernel. Relative error below 2^-21; float16 and bfloat16 keep 11 and 8 bits.
__device__ inline float sigmoid(float value) {
  float power, result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(value * -1.4426950408889634f));
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(1.0f + power));
  return result;
}

template <typename T>
__device__ inline void round_to(float (&value)[4]) {
  for (int i = 0; i < 4; i += 2) {
    const float2 pair = unpack(pack(value[i], value[i + 1], T{}), T{});
    value[i] = pair.x, value[i + 1] = pair.y;
  }
}

/// A low-rank product as a warp adds it: its columns in registers, the block's rows in shared memory.
template <typename T, int Steps>
struct Product {
  Wide<T, Steps> wide;
  const Narrow<T, Steps>* narrow;
  unsigned rows[Steps][4];

  __device__ void begin_tile(int row, Lane lane) {
#pragma unroll
    for (int step = 0; step < Steps; ++step) narrow->tile(row, step, lane, rows[step]);
  }
  __device__ void add(float (&sum)[4], int j) const {
#pragma unroll
    for (int step = 0; step < Steps; ++step) multiply_add(sum, rows[step], wide.part[step][j], T{});
  }
};

/// The frame of every kernel here. A block's warps lie side by side, so that together they read long pieces of rows, and go down its rows
/// tile by tile; the next tile's numbers are on their way while this one's are worked on, which is what keeps memory busy. `matrices[0 …
/// Count)` are read (null: left out); the first `Products` of them have terms; body(tiles, products, mma tile, place) works in place, and
/// then tile i goes to outputs[i] (null: nowhere).
template <typename T, int Steps, int Count, int Products, typename Body>
__device__ inline void for_each_tile(const void* const (&matrices)[Count], const LowRank (&terms)[Products], void* const (&outputs)[Count],
                                     int64_t rows, int64_t width, Body body) {
  __shared__ Narrow<T, Steps> narrow[Products];
  const Lane lane;
  const int64_t first_row = static_cast<int64_t>(blockIdx.y) * Narrow<T, Steps>::kRows;
  const int64_t tile_column = (static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32) * kTileColumns;
  const int64_t column = tile_column + kItems * lane.quarter;
  Tile<T> tile[Count], next[Count];
  Place place(first_row, rows, column, width, lane);
#pragma unroll
  for (int i = 0; i < Count; ++i)
    if (matrices[i] != nullptr) tile[i].read(matrices[i], place);
  Product<T, Steps> product[Products];
#pragma unroll
  for (int i = 0; i < Products; ++i) {
    narrow[i].fill(terms[i], first_row, rows);
    product[i].narrow = &narrow[i];
    product[i].wide.read(terms[i], tile_column, width, lane);
  }
  __syncthreads();
  for (int row = 0; row < Narrow<T, Steps>::kRows && first_row + row < rows; row += kTileRows) {
    const int further = row + kTileRows < Narrow<T, Steps>::kRows ? row + kTileRows : 0;  // after the last tile: read, but not used
    const Place ahead(first_row + further, rows, column, width, lane);
#pragma unroll
    for (int i = 0; i < Count; ++i)
      if (matrices[i] != nullptr && further != 0) next[i].read(matrices[i], ahead);
#pragma unroll
    for (int i = 0; i < Products; ++i) product[i].begin_tile(row, lane);
#pragma unroll
    for (int j = 0; j < kTiles; ++j) body(tile, product, j, place);
#pragma unroll
    for (int i = 0; i < Count; ++i) {
      if (outputs[i] != nullptr) tile[i].write(outputs[i], place);
      tile[i] = next[i];
    }
    place = ahead;
  }
}

inline dim3 blocks(int64_t rows, int64_t width) {
  const int64_t block_rows = kRowTiles * kTileRows, block_columns = kWarps * kTileColumns;
  return dim3(static_cast<unsigned>((width + block_columns - 1) / block_columns),
              static_cast<unsigned>((rows + block_rows - 1) / block_rows));
}

/// Ranks beyond would be left out without a word.
inline void check_rank(int64_t rank, int64_t most) {
  if (rank > most)
    throw std::runtime_error("a low-rank kernel was given rank " + std::to_string(rank) + ", more than " + std::to_string(most));
}

/// body(T{}) for the two types that tensor cores take.
template <typename Body>
void dispatch_half(Real dtype, Body body) {
  if (dtype == Real::kBFloat16) return body(__nv_bfloat16{});
  if (dtype == Real::kHalf) return body(__half{});
  throw std::runtime_error("the low-rank kernels take bfloat16 and float16");
}

}  // namespace graft::ops::cuda::tiles
