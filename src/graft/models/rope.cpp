#include "graft/models/rope.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>

namespace graft::models {
namespace {

constexpr double kTwoPi = 6.283185307179586476925286766559;

/// Exponents 2i / size, float32.
at::Tensor exponents(int64_t size) { return at::arange(0, size, 2, at::kLong).to(at::kFloat).div_(static_cast<double>(size)); }

at::Tensor plain(double theta, int64_t size) { return at::pow(at::Scalar(theta), exponents(size)).reciprocal_(); }

/// NTK-aware scaling: the base grows with the length, once that is past the trained one.
at::Tensor dynamic(const RopeOptions& options, int64_t size, int64_t longest) {
  if (longest <= options.original_max_positions) return plain(options.theta, size);
  const auto length = at::tensor(longest, at::kLong);  // float32 arithmetic from here on, as in transformers
  const auto growth = (length * options.factor / static_cast<double>(options.original_max_positions)) - (options.factor - 1);
  const auto theta = growth.pow(static_cast<double>(size) / static_cast<double>(size - 2)).mul(options.theta);
  return at::pow(theta, exponents(size)).reciprocal_();
}

at::Tensor llama3(const RopeOptions& options, int64_t size) {
  const auto inverse = plain(options.theta, size);
  const auto wavelength = inverse.reciprocal() * kTwoPi;
  const auto original = static_cast<double>(options.original_max_positions);
  const double low = options.low_frequency_factor, high = options.high_frequency_factor;
  auto result = at::where(wavelength.gt(original / low), inverse / options.factor, inverse);
  const auto smooth = (wavelength.reciprocal() * original - low) / (high - low);
  const auto between = (1 - smooth) * result / options.factor + smooth * result;
  const auto is_between = wavelength.ge(original / high).logical_and_(wavelength.le(original / low));
  return at::where(is_between, between, result);
}

/// The (fractional) channel whose wavelength makes `rotations` turns over the trained length.
double correction_channel(const RopeOptions& options, int64_t size, double rotations) {
  return static_cast<double>(size) * std::log(static_cast<double>(options.original_max_positions) / (rotations * kTwoPi)) /
         (2 * std::log(options.theta));
}

/// YaRN (Peng et al. 2023, arXiv:2309.00071): high frequencies stay, low ones are interpolated, a ramp in between.
at::Tensor yarn(const RopeOptions& options, int64_t size) {
  double low = correction_channel(options, size, options.beta_fast), high = correction_channel(options, size, options.beta_slow);
  if (options.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(size - 1));
  if (low == high) high += 0.001;
  const auto ramp = at::clamp((at::arange(size / 2, at::kFloat) - low) / (high - low), 0, 1);
  const auto keep = 1 - ramp;
  const auto frequency = at::pow(at::Scalar(options.theta), exponents(size));
  return (frequency * options.factor).reciprocal_() * (1 - keep) + frequency.reciprocal() * keep;
}

double yarn_attention_scaling(const RopeOptions& options) {
  if (options.attention_factor > 0) return options.attention_factor;
  const auto scale = [&](double mscale) { return options.factor <= 1 ? 1.0 : 0.1 * mscale * std::log(options.factor) + 1.0; };
  if (options.mscale > 0 && options.mscale_all_dim > 0) return scale(options.mscale) / scale(options.mscale_all_dim);
  return scale(1.0);
}

}  // namespace

RopeFrequencies rope_frequencies(const RopeOptions& options, int64_t head_size, int64_t longest) {
  switch (options.type) {
    case RopeOptions::Type::kDefault:
      return {plain(options.theta, head_size), 1.0};
    case RopeOptions::Type::kLinear:
      return {plain(options.theta, head_size).div_(options.factor), 1.0};
    case RopeOptions::Type::kDynamic:
      return {dynamic(options, head_size, longest), 1.0};
    case RopeOptions::Type::kLlama3:
      return {llama3(options, head_size), 1.0};
    case RopeOptions::Type::kYarn:
      return {yarn(options, head_size), yarn_attention_scaling(options)};
  }
  return {};
}

RopeTables rope_tables(const RopeFrequencies& frequencies, const at::Tensor& position_ids, at::ScalarType dtype) {
  const auto angles = position_ids.to(at::kFloat).unsqueeze(-1) * frequencies.inverse.to(position_ids.device());
  return {angles.cos().mul_(frequencies.attention_scaling).to(dtype), angles.sin().mul_(frequencies.attention_scaling).to(dtype)};
}

}  // namespace graft::models
