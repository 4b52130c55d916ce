#include "graft/ops/products.h"

#include <ATen/Functions.h>

#include "graft/base/error.h"
#include "graft/ops/linear_operand.h"
#include "graft/ops/lora_linear.h"
#include "graft/ops/trained_linear.h"
#include "ops/support.h"

using namespace graft;
using graft::testing::require_close;
using graft::testing::rounding;
using graft::testing::seeded_normal;

namespace {

struct Shape {
  int64_t rows, inner, columns;
};

/// Around the size where oneDNN takes over, a single row (generation), a narrow factor, no rows at all.
const std::vector<Shape> kShapes{{1, 64, 48},   {1, 576, 1536}, {8, 576, 1536}, {7, 576, 1536}, {7, 3, 5},
                                 {200, 64, 48}, {130, 576, 16}, {16, 1000, 64}, {0, 64, 48}};

/// Every order of adding k products errs by at most k half units of the sum of their sizes, in whatever dtype the sum is kept.
double bound(const Shape& shape, const at::Tensor& left, const at::Tensor& right, at::ScalarType dtype) {
  if (left.numel() == 0) return 0;
  const double size = left.to(at::kDouble).abs().mm(right.to(at::kDouble).abs()).max().item<double>();
  return dtype == at::kDouble ? size * 1e-13 : rounding(at::kFloat, size * static_cast<double>(shape.inner)) + rounding(dtype, size);
}

/// The same values in memory that is laid out otherwise.
at::Tensor transposed_in_memory(const at::Tensor& x) { return x.t().contiguous().t(); }
at::Tensor part_of_more(const at::Tensor& x) { return at::cat({x, at::ones({x.size(0), 3}, x.options())}, 1).narrow(1, 0, x.size(1)); }

}  // namespace

TEST_CASE("products equal float64's, in every layout", "[ops]") {
  for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    for (const Shape& shape : kShapes) {
      const auto left = seeded_normal({shape.rows, shape.inner}, dtype, 1), right = seeded_normal({shape.inner, shape.columns}, dtype, 2);
      const auto sum = seeded_normal({shape.rows, shape.columns}, dtype, 3), bias = seeded_normal({shape.columns}, dtype, 4);
      const auto expected = left.to(at::kDouble).mm(right.to(at::kDouble));
      const double tolerance = bound(shape, left, right, dtype);
      for (const auto& layout : {+[](const at::Tensor& x) { return x; }, &transposed_in_memory, &part_of_more}) {
        INFO(dtype << " " << shape.rows << " x " << shape.inner << " x " << shape.columns);
        const auto l = layout(left), r = layout(right);
        require_close(ops::product(l, r), expected, tolerance);
        require_close(ops::product(l, r, bias), expected + bias.to(at::kDouble), 2 * tolerance);
        require_close(ops::product_in(at::empty_like(sum), l, r), expected, tolerance);
        require_close(ops::add_product(sum.clone(), l, r), expected + sum.to(at::kDouble), 2 * tolerance);
        require_close(ops::scaled_product(l, r, 0.5), expected * 0.5, tolerance);
        require_close(ops::master_gradient(l, r, dtype), expected, tolerance);
        REQUIRE(at::equal(ops::product(l, r), ops::product(l, r)));
      }
    }
  }
}

TEST_CASE("float32 products on a CPU are oneDNN's where LibTorch has it", "[ops]") {
  const auto x = at::ones({2, 2});
  if (!at::hasMKLDNN()) WARN("skipped: this LibTorch was built without oneDNN");
  CHECK(ops::has_onednn_products(x) == at::hasMKLDNN());
  CHECK_FALSE(ops::has_onednn_products(x.to(at::kDouble)));
  at::globalContext().setUserEnabledMkldnn(false);
  CHECK_FALSE(ops::has_onednn_products(x));
  at::globalContext().setUserEnabledMkldnn(true);
}

TEST_CASE("a weight gives the same bits frozen, trained, and with adapters that are zero", "[ops]") {
  for (const Shape& shape : kShapes) {
    INFO(shape.rows << " x " << shape.inner << " x " << shape.columns);
    const auto x = seeded_normal({shape.rows, 1, shape.inner}), weight = seeded_normal({shape.columns, shape.inner}, at::kFloat, 2);
    const auto bias = seeded_normal({shape.columns}, at::kFloat, 3);
    const ops::LoraTerm zero{
        seeded_normal({16, shape.inner}, at::kFloat, 4).requires_grad_(), at::zeros({shape.columns, 16}).requires_grad_(), 2.0, {}};
    const auto frozen = std::make_shared<ops::DenseWeight>(weight);
    for (const auto& b : {at::Tensor(), bias}) {
      const auto plain = ops::apply_linear({weight, b}, x);
      REQUIRE(at::equal(ops::apply_linear({weight.clone().requires_grad_(), b}, x).detach(), plain));
      REQUIRE(at::equal(ops::lora_linear(x, frozen, b, ops::LinearForm::kOwn, {zero}).detach(), plain));
      REQUIRE(at::equal(ops::lora_linear(x, frozen, b, ops::LinearForm::kOwn, {zero, zero}).detach(), plain));
    }
  }
}

TEST_CASE("a trained Linear without a bias has a gradient for its weight alone, or for its input alone", "[ops]") {
  const auto x = seeded_normal({64, 128}), weight = seeded_normal({96, 128}, at::kFloat, 2);
  for (const bool train_weight : {false, true}) {
    const auto input = x.clone().requires_grad_(!train_weight), matrix = weight.clone().requires_grad_(train_weight);
    ops::trained_linear(input, matrix, {}).sum().backward();
    CHECK(input.grad().defined() == !train_weight);
    CHECK(matrix.grad().defined() == train_weight);
  }
}

TEST_CASE("a trained Linear has the gradients of LibTorch's", "[ops]") {
  for (const Shape& shape : kShapes) {
    INFO(shape.rows << " x " << shape.inner << " x " << shape.columns);
    const std::vector<at::Tensor> inputs{seeded_normal({shape.rows, shape.inner}),
                                         seeded_normal({shape.columns, shape.inner}, at::kFloat, 2),
                                         seeded_normal({shape.columns}, at::kFloat, 3)};
    const auto direction = seeded_normal({shape.rows, shape.columns}, at::kFloat, 4);
    const auto ours = testing::gradients([](const auto& in) { return ops::trained_linear(in[0], in[1], in[2]); }, inputs, direction);
    std::vector<at::Tensor> exact;
    for (const at::Tensor& input : inputs) exact.push_back(input.to(at::kDouble));
    const auto expected =
        testing::gradients([](const auto& in) { return at::linear(in[0], in[1], in[2]); }, exact, direction.to(at::kDouble));
    for (size_t i = 0; i < inputs.size(); ++i) {
      const auto summed = static_cast<double>(i == 0 ? shape.columns : std::max<int64_t>(shape.rows, 1));
      // Sums of `summed` products of normal numbers, none of which exceeds 6 × 6.
      require_close(ours[i], expected[i], rounding(at::kFloat, 36 * summed * std::sqrt(summed)));
    }
  }
  const auto x = at::ones({64, 128}).requires_grad_(), weight = at::ones({128, 128}).requires_grad_();
  if (ops::has_onednn_products(x))
    CHECK_THROWS_AS(torch::autograd::grad({ops::trained_linear(x, weight, {}).sum()}, {x}, {}, {}, /*create_graph=*/true), UsageError);
}
