#include "graft/ops/rms_norm.h"

#include "ops/support.h"

using namespace graft;
using namespace graft::testing;

namespace {

/// The formula in float64; shares no code with the op.
at::Tensor oracle(const at::Tensor& input, const at::Tensor& weight, double epsilon) {
  const auto x = input.to(at::kDouble);
  return x / (x.square().mean(-1, true) + epsilon).sqrt() * weight.to(at::kDouble);
}

}  // namespace

TEST_CASE("rms_norm equals the formula in float64, for every dtype and for widths that are no multiple of a vector", "[ops]") {
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const int64_t width : {1, 15, 16, 96, 577}) {
      const auto input = seeded_normal({3, 5, width}, dtype), weight = seeded_normal({width}, dtype, 2);
      const auto expected = oracle(input, weight, 1e-5);
      // The normalised value and the product are each rounded once; float32 adds the sum's own error.
      require_close(ops::rms_norm(input, weight, 1e-5), expected, rounding(dtype, 4 * expected.abs().max().item<double>()));
    }
  }
}

TEST_CASE("rms_norm's gradients equal float64 autograd's", "[ops]") {
  const auto input = seeded_normal({7, 48}), weight = seeded_normal({48}, at::kFloat, 2), direction = seeded_normal({7, 48}, at::kFloat, 3);
  const auto expected =
      gradients([](const auto& v) { return oracle(v[0], v[1], 1e-5); }, {input.to(at::kDouble), weight.to(at::kDouble)}, direction);
  const auto both = gradients([](const auto& v) { return ops::rms_norm(v[0], v[1], 1e-5); }, {input, weight}, direction);
  const auto frozen = gradients([&](const auto& v) { return ops::rms_norm(v[0], weight, 1e-5); }, {input}, direction);
  // Sums of 48 products of size 1 in float32.
  require_close(both[0], expected[0], 1e-5);
  require_close(both[1], expected[1], 1e-5);
  require_close(frozen[0], expected[0], 1e-5);  // another path: one pass, no weight gradient
}

TEST_CASE("rms_norm takes strided inputs", "[ops]") {
  const auto input = seeded_normal({4, 6, 32}).transpose(0, 1), weight = seeded_normal({32}, at::kFloat, 2);
  require_close(ops::rms_norm(input, weight, 1e-6), oracle(input, weight, 1e-6), 1e-6);
  const auto direction = seeded_normal({6, 4, 32}, at::kFloat, 3);
  const auto expected = gradients([&](const auto& v) { return oracle(v[0], weight, 1e-6); }, {input.to(at::kDouble)}, direction);
  require_close(gradients([&](const auto& v) { return ops::rms_norm(v[0], weight, 1e-6); }, {input}, direction)[0], expected[0], 1e-5);
}

TEST_CASE("rms_norm names both widths when they differ", "[ops]") {
  REQUIRE_THROWS_WITH(ops::rms_norm(at::ones({2, 8}), at::ones({4}), 1e-6), Contains("8 wide") && Contains("4 entries"));
}
