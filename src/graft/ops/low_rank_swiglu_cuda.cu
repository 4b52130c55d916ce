#include <algorithm>

#include "graft/ops/device_types.cuh"

// SwiGLU over matrices whose low-rank parts are added in registers: a warp takes tiles of 16 rows x 32 columns, lays base values out as the
// accumulators of mma.m16n8k16, lets the tensor cores add narrow·wideᵀ, and goes on with the sums.
namespace graft::ops::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr int kTileRows = 16;
constexpr int kTileColumns = 32;  // four mma tiles of 8
constexpr int kRowTiles = 8;      // a warp keeps its columns of the wide matrices in registers that long
constexpr int kTiles = kTileColumns / 8;
constexpr int kItems = 8;  // neighbours of one row that a lane holds: one 16-byte access

__device__ inline void multiply_add(float (&sum)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], __nv_bfloat16) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ inline void multiply_add(float (&sum)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], __half) {
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

/// This warp's 32 columns of a wide matrix as mma's second operand.
template <typename T, int Steps>
struct Wide {
  uint32_t part[Steps][kTiles][2];

  __device__ void read(const LowRank& terms, int64_t first_column, int64_t width, Lane lane) {
    const T* wide = static_cast<const T*>(terms.wide);
    for (int step = 0; step < Steps; ++step)
      for (int j = 0; j < kTiles; ++j)
        for (int half = 0; half < 2; ++half) {
          const int64_t column = first_column + 8 * (lane.group / 2) + 2 * j + lane.group % 2;
          const int64_t k = 16 * step + 8 * half + 2 * lane.quarter;
          Vector<T, 2> pair{};
          if (column < width && k < terms.rank) {
            const T* entry = wide + column * terms.wide_stride + k * terms.wide_step;
            pair.item[0] = entry[0];
            pair.item[1] = entry[terms.wide_step];
          }
          part[step][j][half] = *reinterpret_cast<const uint32_t*>(&pair);
        }
  }
};

/// Rows of a narrow matrix as mma's first operand.
template <typename T, int Steps>
struct Narrow {
  uint32_t part[Steps][4];

  __device__ void read(const LowRank& terms, int64_t row, int64_t rows, Lane lane) {
    const T* narrow = static_cast<const T*>(terms.narrow);
    for (int step = 0; step < Steps; ++step)
      for (int i = 0; i < 4; ++i) {
        const int64_t at = row + lane.group + 8 * (i % 2), k = 16 * step + 8 * (i / 2) + 2 * lane.quarter;
        part[step][i] = at < rows && k < terms.rank ? __ldg(reinterpret_cast<const unsigned*>(narrow + at * terms.narrow_stride + k)) : 0u;
      }
  }
};

/// One matrix's values in a warp's tile, in float32: [which of the lane's two rows][neighbour].
template <typename T>
struct Tile {
  float value[2][kItems];

  __device__ void read(const void* from, int64_t row, int64_t rows, int64_t column, int64_t width, Lane lane) {
    for (int which = 0; which < 2; ++which) {
      const int64_t at = row + lane.group + 8 * which;
      Vector<T, kItems> items{};
      if (at < rows && column < width) items = load<T, kItems>(static_cast<const T*>(from), (at * width + column) / kItems);
      for (int i = 0; i < kItems; ++i) value[which][i] = to_float(items.item[i]);
    }
  }
  template <int Steps>
  __device__ void add(const Narrow<T, Steps>& narrow, const Wide<T, Steps>& wide) {
    for (int j = 0; j < kTiles; ++j) {
      float sum[4] = {value[0][2 * j], value[0][2 * j + 1], value[1][2 * j], value[1][2 * j + 1]};
      for (int step = 0; step < Steps; ++step) multiply_add(sum, narrow.part[step], wide.part[step][j], T{});
      value[0][2 * j] = rounded<T>(sum[0]), value[0][2 * j + 1] = rounded<T>(sum[1]);
      value[1][2 * j] = rounded<T>(sum[2]), value[1][2 * j + 1] = rounded<T>(sum[3]);
    }
  }
  __device__ void write(void* to, int64_t row, int64_t rows, int64_t column, int64_t width, Lane lane) const {
    for (int which = 0; which < 2; ++which) {
      const int64_t at = row + lane.group + 8 * which;
      if (at >= rows || column >= width) continue;
      Vector<T, kItems> items;
      for (int i = 0; i < kItems; ++i) items.item[i] = from_float<T>(value[which][i]);
      store<T, kItems>(static_cast<T*>(to), (at * width + column) / kItems, items);
    }
  }
};

__device__ inline float sigmoid(float value) { return 1.0f / (1.0f + __expf(-value)); }

/// The warps of a block lie side by side, so that together they read long pieces of rows.
__device__ inline int64_t first_column() { return (static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32) * kTileColumns; }
__device__ inline int64_t first_row() { return static_cast<int64_t>(blockIdx.y) * kRowTiles * kTileRows; }

template <typename T, int Steps>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(const void* gate, LowRank gate_terms, const void* up, LowRank up_terms, int64_t rows, int64_t width, void* output) {
  const Lane lane;
  const int64_t tile_column = first_column(), column = tile_column + kItems * lane.quarter;
  Wide<T, Steps> gate_wide, up_wide;
  gate_wide.read(gate_terms, tile_column, width, lane);
  up_wide.read(up_terms, tile_column, width, lane);
  for (int64_t row = first_row(), end = min(row + kRowTiles * kTileRows, rows); row < end; row += kTileRows) {
    Tile<T> g, u;
    g.read(gate, row, rows, column, width, lane);
    u.read(up, row, rows, column, width, lane);
    Narrow<T, Steps> narrow;
    narrow.read(gate_terms, row, rows, lane);
    g.add(narrow, gate_wide);
    narrow.read(up_terms, row, rows, lane);
    u.add(narrow, up_wide);
    for (int which = 0; which < 2; ++which)
      for (int i = 0; i < kItems; ++i) {
        const float z = g.value[which][i];
        g.value[which][i] = rounded<T>(z * sigmoid(z)) * u.value[which][i];
      }
    g.write(output, row, rows, column, width, lane);
  }
}

template <typename T, int Steps>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(const void* gradient, LowRank gradient_terms, const void* gate, LowRank gate_terms, const void* up, LowRank up_terms,
                    int64_t rows, int64_t width, void* gate_gradient, void* up_gradient, void* output) {
  const Lane lane;
  const int64_t tile_column = first_column(), column = tile_column + kItems * lane.quarter;
  Wide<T, Steps> gradient_wide, gate_wide, up_wide;
  gradient_wide.read(gradient_terms, tile_column, width, lane);
  gate_wide.read(gate_terms, tile_column, width, lane);
  up_wide.read(up_terms, tile_column, width, lane);
  for (int64_t row = first_row(), end = min(row + kRowTiles * kTileRows, rows); row < end; row += kTileRows) {
    Tile<T> d, g, u;
    d.read(gradient, row, rows, column, width, lane);
    g.read(gate, row, rows, column, width, lane);
    u.read(up, row, rows, column, width, lane);
    Narrow<T, Steps> narrow;
    narrow.read(gradient_terms, row, rows, lane);
    d.add(narrow, gradient_wide);
    narrow.read(gate_terms, row, rows, lane);
    g.add(narrow, gate_wide);
    narrow.read(up_terms, row, rows, lane);
    u.add(narrow, up_wide);
    for (int which = 0; which < 2; ++which)
      for (int i = 0; i < kItems; ++i) {
        const float z = g.value[which][i], slope = sigmoid(z), silu = rounded<T>(z * slope);
        const float incoming = d.value[which][i], upper = u.value[which][i];
        d.value[which][i] = silu * upper;
        g.value[which][i] = incoming * upper * slope * (1.0f + z * (1.0f - slope));
        u.value[which][i] = incoming * silu;
      }
    g.write(gate_gradient, row, rows, column, width, lane);
    u.write(up_gradient, row, rows, column, width, lane);
    if (output != nullptr) d.write(output, row, rows, column, width, lane);
  }
}

dim3 blocks(int64_t rows, int64_t width) {
  constexpr int64_t kRows = kRowTiles * kTileRows, kColumns = kWarps * kTileColumns;
  return dim3(static_cast<unsigned>((width + kColumns - 1) / kColumns), static_cast<unsigned>((rows + kRows - 1) / kRows));
}

/// body(T{}, steps of 16 ranks).
template <typename Body>
void dispatch_rank(Real dtype, int64_t rank, Body body) {
  const auto with_steps = [&](auto type) {
    if (rank <= 16) return body(type, Width<1>{});
    if (rank <= 32) return body(type, Width<2>{});
    return body(type, Width<4>{});
  };
  if (dtype == Real::kBFloat16) return with_steps(__nv_bfloat16{});
  if (dtype == Real::kHalf) return with_steps(__half{});
  throw std::runtime_error("the low-rank SwiGLU kernel takes bfloat16 and float16");
}

}  // namespace

void low_rank_swiglu_forward(Real dtype, const void* gate, const LowRank& gate_terms, const void* up, const LowRank& up_terms, int64_t rows,
                             int64_t width, void* output, void* stream) {
  if (rows * width == 0) return;
  dispatch_rank(dtype, std::max(gate_terms.rank, up_terms.rank), [&](auto type, auto steps) {
    using T = decltype(type);
    forward_kernel<T, decltype(steps)::value>
        <<<blocks(rows, width), kThreads, 0, as_stream(stream)>>>(gate, gate_terms, up, up_terms, rows, width, output);
  });
  check_launch("low_rank_swiglu_forward");
}

void low_rank_swiglu_backward(Real dtype, const void* gradient, const LowRank& gradient_terms, const void* gate, const LowRank& gate_terms,
                              const void* up, const LowRank& up_terms, int64_t rows, int64_t width, void* gate_gradient, void* up_gradient,
                              void* output, void* stream) {
  if (rows * width == 0) return;
  dispatch_rank(dtype, std::max({gradient_terms.rank, gate_terms.rank, up_terms.rank}), [&](auto type, auto steps) {
    using T = decltype(type);
    backward_kernel<T, decltype(steps)::value><<<blocks(rows, width), kThreads, 0, as_stream(stream)>>>(
        gradient, gradient_terms, gate, gate_terms, up, up_terms, rows, width, gate_gradient, up_gradient, output);
  });
  check_launch("low_rank_swiglu_backward");
}

}  // namespace graft::ops::cuda
