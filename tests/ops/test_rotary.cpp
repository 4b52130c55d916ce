#include "graft/ops/rotary.h"

#include "graft/ops/side_by_side.h"
#include "ops/support.h"

using namespace graft;
using namespace graft::testing;

namespace {

/// A rotation of the plane (x[i], x[half + i]) by an angle, in float64.
at::Tensor oracle(const at::Tensor& input, const at::Tensor& angle) {
  const auto x = input.to(at::kDouble);
  const int64_t half = x.size(-1) / 2;
  const auto a = angle.to(at::kDouble).unsqueeze(2);
  const auto first = x.narrow(-1, 0, half), second = x.narrow(-1, half, half);
  return at::cat({first * a.cos() - second * a.sin(), first * a.sin() + second * a.cos()}, -1);
}

}  // namespace

TEST_CASE("rotary rotates each pair of channels by its angle", "[ops]") {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const int64_t table_rows : {1, 3}) {
      const auto input = seeded_normal({3, 5, 2, 12}, dtype), angle = seeded_normal({table_rows, 5, 6}, at::kFloat, 2);
      const auto cos = angle.cos().to(dtype), sin = angle.sin().to(dtype);
      // Tables, two products and a sum are rounded once each.
      require_close(ops::rotary(input, cos, sin), oracle(input, angle), rounding(dtype, 20));
    }
  }
}

TEST_CASE("rotary's gradient is the inverse rotation", "[ops]") {
  const auto input = seeded_normal({2, 5, 3, 8}), angle = seeded_normal({1, 5, 4}, at::kFloat, 2),
             direction = seeded_normal({2, 5, 3, 8}, at::kFloat, 3);
  const auto result = gradients([&](const auto& v) { return ops::rotary(v[0], angle.cos(), angle.sin()); }, {input}, direction);
  require_close(result[0], oracle(direction, -angle), 1e-6);
}

TEST_CASE("rotary takes strided inputs", "[ops]") {
  const auto input = seeded_normal({2, 3, 5, 8}).transpose(1, 2), angle = seeded_normal({1, 5, 4}, at::kFloat, 2);
  require_close(ops::rotary(input, angle.cos(), angle.sin()), oracle(input, angle), 1e-6);
}

TEST_CASE("rotary lays the gradients of query, key and value side by side", "[ops]") {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto angle = seeded_normal({1, 5, 4}, at::kFloat, 2);
    const auto cos = angle.cos().to(dtype), sin = angle.sin().to(dtype);
    ops::Heads heads{seeded_normal({2, 5, 3, 8}, dtype, 3).requires_grad_(), seeded_normal({2, 5, 1, 8}, dtype, 4).requires_grad_(),
                     seeded_normal({2, 5, 1, 8}, dtype, 5).requires_grad_()};
    const auto turned = ops::rotary_side_by_side(heads, cos, sin);
    REQUIRE(at::equal(turned.query, ops::rotary(heads.query, cos, sin)));
    REQUIRE(at::equal(turned.key, ops::rotary(heads.key, cos, sin)));
    REQUIRE(at::equal(turned.value, heads.value));
    const auto direction = seeded_normal({2, 5, 3, 8}, dtype, 6);
    const auto other = direction.narrow(2, 0, 1);
    const auto found =
        torch::autograd::grad({turned.query, turned.key, turned.value}, {heads.query, heads.key, heads.value}, {direction, other, other});
    require_close(found[0], oracle(direction, -angle), rounding(dtype, 20));
    require_close(found[1], oracle(other, -angle), rounding(dtype, 20));
    REQUIRE(at::equal(found[2], other));
    std::vector<at::Tensor> columns;
    for (const at::Tensor& gradient : found) columns.push_back(gradient.reshape({10, -1}));
    REQUIRE(at::equal(ops::side_by_side(columns, 1), at::cat(columns, 1)));
  }
}
