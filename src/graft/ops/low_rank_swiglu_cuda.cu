#include "graft/ops/low_rank_tiles.cuh"

namespace graft::ops::cuda {
namespace {

using namespace tiles;

/// 1 / (1 + 2^(−value / ln 2)) in the special-function unit, without the slow paths for denormal numbers and exact division, which would
/// cost more than the rest of the kernel. Relative error below 2^-21; float16 and bfloat16 keep 11 and 8 bits.
__device__ inline float sigmoid(float value) {
  float power, result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(value * -1.4426950408889634f));
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(1.0f + power));
  return result;
}

template <typename T, int Steps>
__global__ void __launch_bounds__(kThreads, 2)
    forward_kernel(const void* gate, LowRank gate_terms, const void* up, LowRank up_terms, int64_t rows, int64_t width, void* output) {
  for_each_tile<T, Steps, 2, 2>({gate, up}, {gate_terms, up_terms}, {output, nullptr}, rows, width,
                                [](Tile<T>(&tile)[2], const Product<T, Steps>(&product)[2], int j, const Place&) {
                                  float g[4], u[4];
                                  tile[0].unpack_into(g, j);
                                  tile[1].unpack_into(u, j);
                                  product[0].add(g, j);
                                  product[1].add(u, j);
                                  round_to<T>(g);
                                  round_to<T>(u);
                                  for (int i = 0; i < 4; ++i) g[i] *= sigmoid(g[i]);
                                  round_to<T>(g);
                                  for (int i = 0; i < 4; ++i) g[i] *= u[i];
                                  tile[0].pack_from(g, j);
                                });
}

template <typename T, int Steps>
__global__ void __launch_bounds__(kThreads, Steps == 1 ? 2 : 1)
    backward_kernel(const void* gradient, LowRank gradient_terms, const void* gate, LowRank gate_terms, const void* up, LowRank up_terms,
                    int64_t rows, int64_t width, void* gate_gradient, void* up_gradient, void* output) {
  for_each_tile<T, Steps, 3, 3>({gradient, gate, up}, {gradient_terms, gate_terms, up_terms}, {output, gate_gradient, up_gradient}, rows,
                                width, [](Tile<T>(&tile)[3], const Product<T, Steps>(&product)[3], int j, const Place&) {
                                  float d[4], g[4], u[4], slope[4], silu[4];
                                  tile[0].unpack_into(d, j);
                                  tile[1].unpack_into(g, j);
                                  tile[2].unpack_into(u, j);
                                  product[0].add(d, j);
                                  product[1].add(g, j);
                                  product[2].add(u, j);
                                  round_to<T>(d);
                                  round_to<T>(g);
                                  round_to<T>(u);
                                  for (int i = 0; i < 4; ++i) slope[i] = sigmoid(g[i]), silu[i] = g[i] * slope[i];
                                  round_to<T>(silu);
                                  for (int i = 0; i < 4; ++i) {
                                    g[i] = d[i] * u[i] * slope[i] * (1.0f + g[i] * (1.0f - slope[i]));
                                    const float upper = u[i];
                                    u[i] = d[i] * silu[i];
                                    d[i] = silu[i] * upper;
                                  }
                                  tile[0].pack_from(d, j);
                                  tile[1].pack_from(g, j);
                                  tile[2].pack_from(u, j);
                                });
}

}  // namespace

void low_rank_swiglu_forward(Real dtype, const void* gate, const LowRank& gate_terms, const void* up, const LowRank& up_terms, int64_t rows,
                             int64_t width, void* output, void* stream) {
  if (rows * width == 0) return;
  const int64_t rank = std::max(gate_terms.rank, up_terms.rank);
  check_rank(rank, kMostActivatedRank);
  dispatch_half(dtype, [&](auto type) {
    using T = decltype(type);
    const auto kernel = rank <= 16 ? forward_kernel<T, 1> : forward_kernel<T, 2>;
    kernel<<<blocks(rows, width), kThreads, 0, as_stream(stream)>>>(gate, gate_terms, up, up_terms, rows, width, output);
  });
  check_launch("low_rank_swiglu_forward");
}

void low_rank_swiglu_backward(Real dtype, const void* gradient, const LowRank& gradient_terms, const void* gate, const LowRank& gate_terms,
                              const void* up, const LowRank& up_terms, int64_t rows, int64_t width, void* gate_gradient, void* up_gradient,
                              void* output, void* stream) {
  if (rows * width == 0) return;
  const int64_t rank = std::max({gradient_terms.rank, gate_terms.rank, up_terms.rank});
  check_rank(rank, kMostActivatedRank);
  dispatch_half(dtype, [&](auto type) {
    using T = decltype(type);
    const auto kernel = rank <= 16 ? backward_kernel<T, 1> : backward_kernel<T, 2>;
    kernel<<<blocks(rows, width), kThreads, 0, as_stream(stream)>>>(gradient, gradient_terms, gate, gate_terms, up, up_terms, rows, width,
                                                                    gate_gradient, up_gradient, output);
  });
  check_launch("low_rank_swiglu_backward");
}

}  // namespace graft::ops::cuda
