// AdamW on 8-bit moments: the format against its definition, the step against float64, every device against the CPU, bit for bit.
#include "graft/quant/eight_bit_adam.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "graft/quant/codebook.h"
#include "support/catch.h"
#include "support/devices.h"

using namespace graft::quant;
using graft::test::for_each_device;

namespace {

at::Tensor normal(int64_t count, uint64_t seed) {
  at::manual_seed(seed);
  return at::randn({count});
}

/// Gradients as they are: sizes over six powers of ten, some exactly zero.
at::Tensor gradients(int64_t count, uint64_t seed) {
  return normal(count, seed) * at::pow(10.0, -6 * at::rand({count})) * (at::rand({count}) > 0.05).to(at::kFloat);
}

template <typename Map>
double distance_to_nearest(const Map& map, double x) {
  double best = 2;
  for (const float entry : map) best = std::min(best, std::fabs(static_cast<double>(entry) - x));
  return best;
}

/// Whether each stored average is the nearest entry of its map to the true one. `slack`: of the block's maximum.
template <typename Map>
void require_nearest(const at::Tensor& stored, const at::Tensor& absmax, const at::Tensor& truth, const Map& map, double slack) {
  for (int64_t first = 0; first < truth.numel(); first += kMomentBlock) {
    const int64_t size = std::min(kMomentBlock, truth.numel() - first);
    const at::Tensor block = truth.narrow(0, first, size), found = stored.narrow(0, first, size).to(at::kDouble);
    const double largest = block.abs().max().item<double>();
    REQUIRE(absmax[first / kMomentBlock].item<double>() == Approx(largest).epsilon(1e-6));
    for (int64_t i = 0; i < size; ++i) {
      const double x = block[i].item<double>() / largest, y = found[i].item<double>() / largest;
      REQUIRE(std::fabs(x - y) <= distance_to_nearest(map, x) + slack);
    }
  }
}

}  // namespace

TEST_CASE("the dynamic maps are ascending, and finer towards zero", "[quant]") {
  const auto& map = unsigned_dynamic_map();
  CHECK(map.front() == 0);
  CHECK(map.back() == 1);
  CHECK(std::is_sorted(map.begin(), map.end()));
  CHECK(map[1] == Approx(3.25e-7));  // two entries between 1e-7 and 1e-6: the middles of its halves
  CHECK(map[254] == Approx(1 - 0.9 / 256));
  for (int code = 0; code < 256; ++code) {
    CHECK(nearest_in_unsigned_dynamic_map(map[static_cast<size_t>(code)]) == code);
    CHECK(nearest_in_dynamic_map(dynamic_map()[static_cast<size_t>(code)]) == code);
  }
  CHECK(nearest_in_unsigned_dynamic_map(std::numeric_limits<float>::quiet_NaN()) == 0);
}

TEST_CASE("steps are AdamW's on the averages as they are stored, which are the nearest to the true ones", "[quant]") {
  const int64_t count = 256 * 3 + 77;
  const double rate = 1e-2, beta1 = 0.9, beta2 = 0.99, epsilon = 1e-8, decay = 0.1;
  const at::Tensor parameter = normal(count, 1);
  const auto moments = zero_moments(parameter);
  for (int64_t k = 1; k <= 4; ++k) {
    const at::Tensor g = gradients(count, 10 + static_cast<uint64_t>(k)), wide = g.to(at::kDouble);
    const at::Tensor m = beta1 * decoded_mean(moments).to(at::kDouble) + (1 - beta1) * wide;
    const at::Tensor v = beta2 * decoded_square(moments).to(at::kDouble) + (1 - beta2) * wide * wide;
    const double c1 = 1 - std::pow(beta1, k), c2 = 1 - std::pow(beta2, k);
    const at::Tensor expected = (parameter.to(at::kDouble) - rate * (m / c1) / ((v / c2).sqrt() + epsilon)) * (1 - rate * decay);
    eight_bit_adamw(parameter, g, moments, adam_rule(rate, beta1, beta2, epsilon, decay, k));
    // Float32: a few roundings of numbers near 1, and of updates up to 10 · rate.
    CHECK(at::allclose(parameter.to(at::kDouble), expected, 1e-6, 1e-6));
    // Float32's rounding of both sides; a mean that would become zero takes its own side's smallest entry, 5.5e-7, instead.
    require_nearest(decoded_mean(moments), moments.mean_absmax, m, dynamic_map(), 1e-6 + 5.5e-7);
    require_nearest(decoded_square(moments), moments.square_absmax, v, unsigned_dynamic_map(), 1e-6);
    const at::Tensor stored = decoded_mean(moments);
    CHECK((stored.sign() * m.sign().to(at::kFloat)).min().item<float>() >= 0);
  }
}

TEST_CASE("every device steps to the CPU's bits, over blocks that are short, zero or not finite", "[quant][cuda]") {
  for_each_device([](at::Device device) {
    for (const int64_t count : {1, 31, 256, 257, 4096, 4096 * 5 + 100}) {
      CAPTURE(count);
      const at::Tensor on_host = normal(count, 1), on_device = on_host.clone().to(device);
      const auto expected = zero_moments(on_host), found = zero_moments(on_device);
      for (int64_t k = 1; k <= 5; ++k) {
        at::Tensor g = gradients(count, static_cast<uint64_t>(100 + k));
        if (count > 1000) g.narrow(0, 256, 256).zero_(), g[700] = std::numeric_limits<float>::infinity(), g[701] = std::nanf("");
        const auto rule = adam_rule(1e-3, 0.9, 0.999, 1e-8, k % 2 == 0 ? 0.1 : 0.0, k);
        const at::Tensor before = on_host.clone();
        eight_bit_adamw(on_host, g, expected, rule);
        eight_bit_adamw(on_device, g.to(device), found, rule, at::zeros({}, at::TensorOptions(at::kFloat).device(device)));
        REQUIRE(at::equal(on_device.cpu(), on_host));
        REQUIRE(at::equal(found.mean.cpu(), expected.mean));
        REQUIRE(at::equal(found.square.cpu(), expected.square));
        REQUIRE(at::equal(found.mean_absmax.cpu(), expected.mean_absmax));
        REQUIRE(at::equal(found.square_absmax.cpu(), expected.square_absmax));
        REQUIRE(on_host.isfinite().all().item<bool>());
        if (count < 1000) continue;
        CHECK(at::equal(on_host.narrow(0, 700, 2), before.narrow(0, 700, 2)));
        CHECK(decoded_square(expected)[700].item<float>() == 0);
        if (k % 2 == 1) CHECK(at::equal(on_host.narrow(0, 256, 256), before.narrow(0, 256, 256)));
      }
      const at::Tensor codes = found.mean.clone(), values = on_device.clone();
      eight_bit_adamw(on_device, at::ones_like(on_device), found, adam_rule(1e-3, 0.9, 0.999, 1e-8, 0, 6),
                      at::ones({}, at::TensorOptions(at::kFloat).device(device)));
      CHECK(at::equal(found.mean, codes));
      CHECK(at::equal(on_device, values));
    }
  });
}
