#include "graft/ops/elementwise_cpu.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "graft/base/cpu_clones.h"
#include "graft/ops/parallel.h"

namespace graft::ops::cpu {
namespace {

constexpr int kLanes = 16;           // independent partial sums, in a fixed order: vectorizes without reassociating anything else
constexpr int64_t kGrain = 1 << 14;  // elements worth another thread
constexpr int64_t kBlock = 1 << 12;  // elements of one unit of work where rows do not matter

int64_t rows_per_task(int64_t width) { return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, width)); }

/// Calls work(begin, count) for blocks of elements.
template <typename Work>
void for_each_block(int64_t count, const Work& work) {
  parallel_for((count + kBlock - 1) / kBlock, kGrain / kBlock,
               [&](int64_t begin, int64_t end) { work(begin * kBlock, std::min(end * kBlock, count) - begin * kBlock); });
}

GRAFT_CLONES float sum_of_squares(const float* x, int64_t width) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += x[i + lane] * x[i + lane];
  }
  for (int lane = 0; i < width; ++i, ++lane) lanes[lane] += x[i] * x[i];
  float sum = 0;
  for (float lane : lanes) sum += lane;
  return sum;
}

GRAFT_CLONES float sum_of_products(const float* x, const float* y, const float* z, int64_t width) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += x[i + lane] * y[i + lane] * z[i + lane];
  }
  for (int lane = 0; i < width; ++i, ++lane) lanes[lane] += x[i] * y[i] * z[i];
  float sum = 0;
  for (float lane : lanes) sum += lane;
  return sum;
}

GRAFT_CLONES void scale_row(const float* __restrict x, const float* __restrict weight, float root, float* __restrict y, int64_t width) {
  for (int64_t i = 0; i < width; ++i) y[i] = x[i] * root * weight[i];
}

GRAFT_CLONES void norm_gradient_row(const float* __restrict gradient, const float* __restrict x, const float* __restrict weight, float root,
                                    float projection, float* __restrict out, int64_t width) {
  for (int64_t i = 0; i < width; ++i) out[i] = root * (gradient[i] * weight[i] - x[i] * projection);
}

GRAFT_CLONES void rotate_head(const float* __restrict x, const float* __restrict c, const float* __restrict s, float* __restrict y,
                              int64_t half) {
  for (int64_t i = 0; i < half; ++i) {
    y[i] = x[i] * c[i] - x[half + i] * s[i];
    y[half + i] = x[half + i] * c[i] + x[i] * s[i];
  }
}

template <typename To, typename From>
inline To same_bits(From value) {
  To result;
  static_assert(sizeof result == sizeof value);
  std::memcpy(&result, &value, sizeof result);
  return result;
}

/// exp(x) to within 2 units in the last place: x = n ln 2 + r, then the degree-5 polynomial of Cephes' expf on |r| ≤ ln 2 / 2.
/// |x| is clamped at 88, where float32 would overflow or vanish, which silu cannot tell apart; NaN counts as 88. A comparison of floats or
/// a std::floor would keep compilers that respect traps and errno from vectorizing the loop around, which costs a factor of ten: the clamp
/// compares bits, and n stands in the low bits of x / ln 2 + 1.5 · 2^23.
inline float exp_fast(float x) {
  const auto given = same_bits<int32_t>(x);
  const int32_t magnitude = given & 0x7fffffff, most = 0x42b00000;  // 88.0f
  x = same_bits<float>((given & ~0x7fffffff) | (magnitude < most ? magnitude : most));
  const float round = 12582912.0f;  // 1.5 · 2^23: a unit in its last place is 1
  const float shifted = x * 1.44269504088896341f + round;
  const float n = shifted - round;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return p * same_bits<float>((same_bits<int32_t>(shifted) - same_bits<int32_t>(round) + 127) << 23);
}

GRAFT_CLONES void swiglu_range(const float* __restrict gate, const float* __restrict up, float* __restrict out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) out[i] = gate[i] / (1.0f + exp_fast(-gate[i])) * up[i];
}

GRAFT_CLONES void swiglu_gradient_range(const float* __restrict gradient, const float* __restrict gate, const float* __restrict up,
                                        float* __restrict gate_gradient, float* __restrict up_gradient, float* __restrict out,
                                        int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float sigmoid = 1.0f / (1.0f + exp_fast(-gate[i]));
    const float silu = gate[i] * sigmoid;
    up_gradient[i] = gradient[i] * silu;
    out[i] = silu * up[i];
    gate_gradient[i] = gradient[i] * up[i] * (sigmoid + silu * (1.0f - sigmoid));
  }
}

}  // namespace

bool is_fast(const at::Tensor& tensor) { return tensor.is_cpu() && tensor.scalar_type() == at::kFloat && tensor.is_contiguous(); }

void rms_norm_forward(const at::Tensor& input, const at::Tensor& weight, float epsilon, at::Tensor& output, at::Tensor& reciprocal_root) {
  const int64_t rows = input.size(0), width = input.size(1);
  const float *x = input.const_data_ptr<float>(), *w = weight.const_data_ptr<float>();
  float *y = output.mutable_data_ptr<float>(), *roots = reciprocal_root.mutable_data_ptr<float>();
  parallel_for(rows, rows_per_task(width), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float mean = sum_of_squares(x + row * width, width) / static_cast<float>(width);
      roots[row] = 1.0f / std::sqrt(mean + epsilon);
      scale_row(x + row * width, w, roots[row], y + row * width, width);
    }
  });
}

void rms_norm_backward(const at::Tensor& gradient, const at::Tensor& input, const at::Tensor& weight, const at::Tensor& reciprocal_root,
                       at::Tensor& input_gradient) {
  const int64_t rows = input.size(0), width = input.size(1);
  const float *g = gradient.const_data_ptr<float>(), *x = input.const_data_ptr<float>(), *w = weight.const_data_ptr<float>();
  const float* roots = reciprocal_root.const_data_ptr<float>();
  float* out = input_gradient.mutable_data_ptr<float>();
  parallel_for(rows, rows_per_task(width), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t at = row * width;
      const float root = roots[row];
      const float projection = sum_of_products(g + at, x + at, w, width) * root * root / static_cast<float>(width);
      norm_gradient_row(g + at, x + at, w, root, projection, out + at, width);
    }
  });
}

void rotary(const at::Tensor& input, const at::Tensor& cos, const at::Tensor& sin, at::Tensor& output) {
  const int64_t length = input.size(1), heads = input.size(2), size = input.size(3), half = size / 2;
  const int64_t row_stride = cos.size(0) == 1 ? 0 : length;
  const float *x = input.const_data_ptr<float>(), *c = cos.const_data_ptr<float>(), *s = sin.const_data_ptr<float>();
  float* y = output.mutable_data_ptr<float>();
  const int64_t output_stride = output.stride(1);
  parallel_for(input.size(0) * length, rows_per_task(heads * size), [&](int64_t begin, int64_t end) {
    for (int64_t token = begin; token < end; ++token) {
      const int64_t table = (token / length * row_stride + token % length) * half;
      for (int64_t head = 0; head < heads; ++head) {
        rotate_head(x + (token * heads + head) * size, c + table, s + table, y + token * output_stride + head * size, half);
      }
    }
  });
}

void swiglu_forward(const at::Tensor& gate, const at::Tensor& up, at::Tensor& output) {
  const float *g = gate.const_data_ptr<float>(), *u = up.const_data_ptr<float>();
  float* out = output.mutable_data_ptr<float>();
  for_each_block(gate.numel(), [&](int64_t begin, int64_t count) { swiglu_range(g + begin, u + begin, out + begin, count); });
}

void swiglu_backward(const at::Tensor& gradient, const at::Tensor& gate, const at::Tensor& up, at::Tensor& gate_gradient,
                     at::Tensor& up_gradient, at::Tensor& output) {
  const float *d = gradient.const_data_ptr<float>(), *g = gate.const_data_ptr<float>(), *u = up.const_data_ptr<float>();
  float *dg = gate_gradient.mutable_data_ptr<float>(), *du = up_gradient.mutable_data_ptr<float>();
  float* out = output.mutable_data_ptr<float>();
  for_each_block(gate.numel(), [&](int64_t begin, int64_t count) {
    swiglu_gradient_range(d + begin, g + begin, u + begin, dg + begin, du + begin, out + begin, count);
  });
}

}  // namespace graft::ops::cpu
