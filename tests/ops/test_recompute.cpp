#include "graft/ops/recompute.h"

#include <ATen/autocast_mode.h>

#include "ops/support.h"

using namespace graft;
using namespace graft::testing;

namespace {

struct Result {
  at::Tensor output, input_gradient, weight_gradient;
};

Result run(bool recomputed, bool input_is_trained, const std::function<at::Tensor(const at::Tensor&, const at::Tensor&)>& f) {
  auto input = seeded_normal({4, 6}).requires_grad_(input_is_trained), weight = seeded_normal({6, 6}, at::kFloat, 2).requires_grad_(true);
  const auto block = [weight, f](const at::Tensor& x, ops::Pass) { return f(x, weight); };
  const auto output = recomputed ? ops::recompute(block, input) : block(input, ops::Pass{});
  torch::autograd::backward({output.square().sum()}, {});
  return {output.detach(), input.grad(), weight.grad()};
}

at::Tensor layer(const at::Tensor& x, const at::Tensor& weight) { return at::tanh(at::matmul(x, weight)) + x; }

/// Stands for a dropout position: what the block does depends on it.
thread_local double position = 1;

}  // namespace

TEST_CASE("recompute gives bit-equal outputs and gradients", "[ops]") {
  for (const bool input_is_trained : {true, false}) {
    const auto plain = run(false, input_is_trained, layer), again = run(true, input_is_trained, layer);
    REQUIRE(at::equal(plain.output, again.output));
    REQUIRE(at::equal(plain.weight_gradient, again.weight_gradient));
    REQUIRE(again.input_gradient.defined() == input_is_trained);
    if (input_is_trained) REQUIRE(at::equal(plain.input_gradient, again.input_gradient));
  }
}

TEST_CASE("recompute runs the block once more in backward and keeps nothing of the first run", "[ops]") {
  int runs = 0;
  auto weight = seeded_normal({6, 6}).requires_grad_(true);
  const auto output = ops::recompute(
      [&](const at::Tensor& x, ops::Pass pass) {
        ++runs;
        REQUIRE(pass.gradient_only == (runs == 2));
        if (runs == 1) pass.kept->push_back(at::full({1}, 5.0));
        REQUIRE(pass.kept->front().item<double>() == 5.0);
        REQUIRE(at::GradMode::is_enabled() == (runs == 2));
        return layer(x, weight);
      },
      seeded_normal({4, 6}));
  REQUIRE(runs == 1);
  torch::autograd::backward({output.sum()}, {});
  REQUIRE(runs == 2);
}

TEST_CASE("recompute is a plain call without gradients", "[ops]") {
  const at::NoGradGuard no_gradients;
  REQUIRE_FALSE(ops::recompute([](const at::Tensor& x, ops::Pass) { return x * 2; }, at::ones({2})).requires_grad());
}

TEST_CASE("a recomputed block sees the context of its first run, and the outer one comes back", "[ops]") {
  ops::register_recompute_context([]() -> ops::RecomputeRestore {
    return [captured = position]() -> std::shared_ptr<void> {
      const double outer = position;
      position = captured;
      return std::shared_ptr<void>(nullptr, [outer](void*) { position = outer; });
    };
  });
  const auto scaled = [](const at::Tensor& x, const at::Tensor& weight) { return layer(x, weight) * position; };
  position = 3;
  const auto plain = run(false, true, scaled);
  auto input = seeded_normal({4, 6}).requires_grad_(true), weight = seeded_normal({6, 6}, at::kFloat, 2).requires_grad_(true);
  const auto output = ops::recompute([=](const at::Tensor& x, ops::Pass) { return scaled(x, weight); }, input);
  position = 7;  // training has gone on to the next micro-batch
  torch::autograd::backward({output.square().sum()}, {});
  REQUIRE(position == 7);
  REQUIRE(at::equal(weight.grad(), plain.weight_gradient));
  REQUIRE(at::equal(input.grad(), plain.input_gradient));
}

TEST_CASE("a recomputed block sees the autocast of its first run, and leaves that of backward", "[ops]") {
  const auto gradients = [](bool recomputed) {
    auto input = seeded_normal({4, 6}).requires_grad_(true), weight = seeded_normal({6, 6}, at::kFloat, 2).requires_grad_(true);
    const auto block = [weight](const at::Tensor& x, ops::Pass) { return layer(at::matmul(x, weight), weight); };
    at::autocast::set_autocast_enabled(at::kCPU, true);
    if (!recomputed) at::autocast::set_autocast_cache_enabled(false);  // a block never uses it
    const auto output = recomputed ? ops::recompute(block, input) : block(input, {});
    REQUIRE(at::autocast::is_autocast_cache_enabled() == recomputed);
    at::autocast::set_autocast_enabled(at::kCPU, false);
    at::autocast::set_autocast_cache_enabled(true);
    torch::autograd::backward({output.to(at::kFloat).square().sum()}, {});
    REQUIRE_FALSE(at::autocast::is_autocast_enabled(at::kCPU));
    return std::vector<at::Tensor>{output.detach(), input.grad(), weight.grad()};
  };
  const auto plain = gradients(false), again = gradients(true);
  for (size_t i = 0; i < plain.size(); ++i) REQUIRE(at::equal(plain[i], again[i]));
}

TEST_CASE("a block may take token ids", "[ops]") {
  auto table = seeded_normal({6, 3}).requires_grad_(true);
  const auto output = ops::recompute([table](const at::Tensor& ids, ops::Pass) { return at::embedding(table, ids); }, at::arange(4));
  torch::autograd::backward({output.sum()}, {});
  REQUIRE(table.grad().sum().item<double>() == 12);
}
