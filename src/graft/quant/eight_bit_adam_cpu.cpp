#include "graft/quant/eight_bit_adam_cpu.h"

#include <algorithm>
#include <cmath>

#include "graft/ops/parallel.h"
#include "graft/quant/codebook.h"

namespace graft::quant::cpu {
namespace {

constexpr int64_t kGrain = 16;  // blocks worth another thread

/// The averages of one block in float32, and their largest magnitudes.
struct Averages {
  float mean[kMomentBlock], square[kMomentBlock];
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

uint8_t mean_code(float mean, float largest) {
  const uint8_t code = nearest_in_dynamic_map(mean / largest);
  const bool sign_lost = mean != 0 && std::signbit(dynamic_map()[code]) != std::signbit(mean);
  return sign_lost ? static_cast<uint8_t>(mean > 0 ? code + 1 : code - 1) : code;
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
      for (int64_t i = 0; i < size; ++i) {
        moments.mean[first + i] = mean_code(averages.mean[i], averages.largest_mean);
        moments.square[first + i] = nearest_in_unsigned_dynamic_map(averages.square[i] / averages.largest_square);
      }
      moments.mean_absmax[block] = averages.largest_mean;
      moments.square_absmax[block] = averages.largest_square;
    }
  });
}

}  // namespace graft::quant::cpu
