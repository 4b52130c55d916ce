#include "graft/ops/swiglu.h"

#include "graft/ops/elementwise.h"
#include "ops/support.h"
#include "support/devices.h"

using namespace graft;
using namespace graft::testing;

namespace {

at::Tensor oracle(const at::Tensor& gate, const at::Tensor& up) {
  const auto z = gate.to(at::kDouble);
  return z / (1 + (-z).exp()) * up.to(at::kDouble);
}

}  // namespace

TEST_CASE("swiglu equals the formula in float64", "[ops]") {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto gate = seeded_normal({5, 37}, dtype) * 4, up = seeded_normal({5, 37}, dtype, 2);
    const auto expected = oracle(gate, up);
    require_close(ops::swiglu(gate, up), expected, rounding(dtype, 6 * expected.abs().max().item<double>()));
  }
}

TEST_CASE("swiglu is right where the exponential overflows or vanishes", "[ops]") {
  const auto gate = at::tensor({-1e30f, -200.0f, -90.0f, -20.0f, -0.0f, 0.0f, 20.0f, 90.0f, 200.0f, 1e30f}), up = at::ones({10});
  const auto ours = ops::swiglu(gate, up).to(at::kDouble);
  for (int64_t i = 0; i < 10; ++i) {
    const double z = gate[i].item<double>(), expected = z < 0 ? z * std::exp(z) / (1 + std::exp(z)) : z / (1 + std::exp(-z));
    // -1e30 and the like give a negligible number instead of zero: exp is clamped at 88.
    REQUIRE(std::abs(ours[i].item<double>() - expected) <= std::max(1e-7 * std::abs(expected), std::abs(z) * 1e-38));
  }
}

TEST_CASE("swiglu keeps NaN visible", "[ops]") {
  REQUIRE(std::isnan(ops::swiglu(at::full({1}, NAN), at::ones({1})).item<float>()));
  REQUIRE(std::isnan(ops::swiglu(at::ones({1}), at::full({1}, NAN)).item<float>()));
}

TEST_CASE("swiglu's gradients equal float64 autograd's", "[ops]") {
  const auto gate = seeded_normal({7, 33}) * 3, up = seeded_normal({7, 33}, at::kFloat, 2),
             direction = seeded_normal({7, 33}, at::kFloat, 3);
  const auto expected = gradients([](const auto& v) { return oracle(v[0], v[1]); }, {gate.to(at::kDouble), up.to(at::kDouble)}, direction);
  const auto ours = gradients([](const auto& v) { return ops::swiglu(v[0], v[1]); }, {gate, up}, direction);
  for (int i = 0; i < 2; ++i) require_close(ours[i], expected[i], 2e-6);
  const auto half =
      gradients([](const auto& v) { return ops::swiglu(v[0], v[1]); }, {gate.to(at::kBFloat16), up.to(at::kBFloat16)}, direction);
  for (int i = 0; i < 2; ++i) require_close(half[i], expected[i], rounding(at::kBFloat16, 8 * expected[i].abs().max().item<double>()));
}

// What a GPU contracts in passing equals the products of what it wrote; without the wish the same results come, and the output instead.
TEST_CASE("swiglu's backward contracts its results over the rows", "[ops]") {
  test::for_each_device([&](at::Device device) {
    for (const auto dtype : {at::kBFloat16, at::kHalf}) {
      if (device.is_cpu() && dtype == at::kHalf) continue;  // no half products in this LibTorch's fast path
      for (const int64_t rank : {4, 16, 24, 32}) {
        for (const auto& [rows, width] : std::vector<std::pair<int64_t, int64_t>>{{1, 8}, {73, 296}, {1030, 520}}) {
          uint64_t seed = 1;
          const auto normal = [&](at::IntArrayRef shape) { return seeded_normal(shape, dtype, seed++).to(device); };
          const auto sum = [&] {
            ops::LowRankSum whole(normal({rows, width}));
            if (ops::keeps_apart(whole.base, width, rank)) whole.narrow = normal({rows, rank}), whole.wide = normal({width, rank});
            return whole;
          };
          const ops::LowRankSum gradient = sum(), gate = sum(), up(normal({rows, width}));
          const auto plain = ops::elementwise::swiglu_backward(gradient, gate, up, {});
          const auto ours = ops::elementwise::swiglu_backward(gradient, gate, up, {/*in_place=*/false, /*contracts=*/true});
          INFO(device.str() << " " << dtype << " rank " << rank << " rows " << rows << " width " << width);
          REQUIRE(at::equal(ours.gate, plain.gate));
          REQUIRE(at::equal(ours.up, plain.up));
          REQUIRE_FALSE(ours.up_narrow.defined());
          REQUIRE(ours.narrow_output.defined() == device.is_cuda());
          REQUIRE(ours.output.defined() == device.is_cpu());
          if (device.is_cpu()) continue;
          // float32 sums of exact products: n summands err by far less than n roundings of the largest.
          const auto product = [&](const at::Tensor& left, const at::Tensor& right) {
            return left.t().to(at::kDouble).mm(right.to(at::kDouble));
          };
          const auto bound = [&](const at::Tensor& a, const at::Tensor& b) {
            return rounding(at::kFloat, static_cast<double>(rows) * a.abs().max().item<double>() * b.abs().max().item<double>());
          };
          require_close(ours.narrow_output, product(gradient.narrow, plain.output), bound(gradient.narrow, plain.output));
          require_close(ours.gate_narrow, product(plain.gate, gate.narrow), bound(plain.gate, gate.narrow));
        }
      }
    }
  });
}
