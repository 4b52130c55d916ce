#include "graft/quant/eight_bit_adam_cpu.h"

#include <algorithm>
#include <cmath>

#include "graft/base/cpu_clones.h"
#include "graft/ops/parallel.h"
#include "graft/quant/codebook.h"

namespace graft::quant::cpu {
namespace {

constexpr int64_t kGrain = 16;  // blocks worth another thread

/// The averages of one block in float32, and their largest magnitudes.
struct Averages {
  float mean[kMomentBlock] = {}, square[kMomentBlock] = {};
  float largest_mean = 0, largest_square = 0;
};

void advance(const float* gradient, const uint8_t* mean, const uint8_t* square, float mean_absmax, float square_absmax, int64_t count,
             const AdamRule& rule, Averages* out) {
  const auto &means = dynamic_map(), &squares = unsigned_dynamic_map();
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradient[i];
    const bool finite = std::isfinite(g);
    out->mean[i] = finite ? means[mean[i]] * mean_absmax * rule.beta1 + rule.share1 * g : 0.0F;
    out->square[i] = finite ? squares[square[i]] * square_absmax * rule.beta2 + rule.share2 * g * g : 0.0F;
    out->largest_mean = std::max(out->largest_mean, std::fabs(out->mean[i]));
    out->largest_square = std::max(out->largest_square, out->square[i]);
  }
}

/// codebook.cpp's search for a whole block, all numbers one step at a time, without branches: sixteen of them fit one AVX-512 gather.
/// Nothing here can be contracted to a fused multiply-add: every clone gives the same codes.
GRAFT_CLONES void nearest_codes(const float* __restrict map, const float* __restrict x, float largest, int* __restrict codes) {
  float scaled[kMomentBlock];
  int below[kMomentBlock], above[kMomentBlock];
  for (int64_t i = 0; i < kMomentBlock; ++i) scaled[i] = x[i] / largest, codes[i] = 127, below[i] = 0, above[i] = 255;
  for (int step = 64; step > 0; step /= 2)
    for (int64_t i = 0; i < kMomentBlock; ++i) {
      const int pivot = codes[i];
      const bool higher = scaled[i] > map[pivot];
      below[i] = higher ? pivot : below[i];
      above[i] = higher ? above[i] : pivot;
      codes[i] = higher ? pivot + step : pivot - step;
    }
  for (int64_t i = 0; i < kMomentBlock; ++i) {
    const int pivot = codes[i];
    const float value = map[pivot];
    const int up = scaled[i] > (map[above[i]] + value) * 0.5F ? above[i] : pivot;
    const int down = scaled[i] < (map[below[i]] + value) * 0.5F ? below[i] : pivot;
    codes[i] = scaled[i] > value ? up : down;
  }
}

/// Both averages of a block as codes. A mean that is not zero keeps its sign.
void store(const Averages& averages, int64_t count, uint8_t* mean, uint8_t* square) {
  int codes[kMomentBlock];
  const float* map = dynamic_map().data();
  nearest_codes(map, averages.mean, averages.largest_mean, codes);
  for (int64_t i = 0; i < count; ++i) {
    const float value = averages.mean[i];
    const bool sign_lost = value != 0 && std::signbit(map[codes[i]]) != std::signbit(value);
    mean[i] = static_cast<uint8_t>(sign_lost ? (value > 0 ? codes[i] + 1 : codes[i] - 1) : codes[i]);
  }
  nearest_codes(unsigned_dynamic_map().data(), averages.square, averages.largest_square, codes);
  for (int64_t i = 0; i < count; ++i) square[i] = static_cast<uint8_t>(codes[i]);
}

}  // namespace

void eight_bit_adamw(float* parameter, const float* gradient, int64_t count, const MomentPointers& moments, const AdamRule& rule) {
  ops::parallel_for((count + kMomentBlock - 1) / kMomentBlock, kGrain, [=](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * kMomentBlock, size = std::min(kMomentBlock, count - first);
      const float* g = gradient + first;
      float* p = parameter + first;
      Averages averages;
      advance(g, moments.mean + first, moments.square + first, moments.mean_absmax[block], moments.square_absmax[block], size, rule,
              &averages);
      for (int64_t i = 0; i < size; ++i)
        if (std::isfinite(g[i]))
          p[i] = (p[i] + rule.step_size * (averages.mean[i] / (std::sqrt(averages.square[i]) + rule.epsilon))) * rule.keep;
      store(averages, size, moments.mean + first, moments.square + first);
      moments.mean_absmax[block] = averages.largest_mean;
      moments.square_absmax[block] = averages.largest_square;
    }
  });
}

}  // namespace graft::quant::cpu
