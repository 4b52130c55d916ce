#include "graft/train/optimizer.h"

#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <limits>
#include <map>

#include "graft/train/clip.h"
#include "support/catch.h"

using namespace graft::train;

namespace {

at::Tensor normal(at::IntArrayRef shape, uint64_t seed) {
  at::manual_seed(seed);
  return at::randn(shape);
}

/// AdamW's formula element by element in float64, as in torch.optim.AdamW's documentation.
struct Oracle {
  at::Tensor p, m, v;
  explicit Oracle(const at::Tensor& start) : p(start.detach().to(at::kDouble)), m(at::zeros_like(p)), v(at::zeros_like(p)) {}
  void step(const at::Tensor& gradient, int k, double rate, const AdamWOptions& o) {
    const auto g = gradient.to(at::kDouble);
    p = p - rate * o.weight_decay * p;
    m = o.beta1 * m + (1 - o.beta1) * g;
    v = o.beta2 * v + (1 - o.beta2) * g * g;
    p = p - rate * (m / (1 - std::pow(o.beta1, k))) / ((v / (1 - std::pow(o.beta2, k))).sqrt() + o.epsilon);
  }
};

}  // namespace

TEST_CASE("AdamW follows the formula in float64 over several steps", "[train]") {
  AdamWOptions options;
  options.weight_decay = 0.1;
  auto a = normal({17, 5}, 1).requires_grad_(), b = normal({3}, 2).requires_grad_();
  Oracle oracle_a(a), oracle_b(b);
  AdamW optimizer({{"a", a}, {"b", b}}, options);
  for (int k = 1; k <= 20; ++k) {
    a.mutable_grad() = normal({17, 5}, 100 + static_cast<uint64_t>(k));
    b.mutable_grad() = normal({3}, 200 + static_cast<uint64_t>(k));
    const double rate = 0.01 / k;
    oracle_a.step(a.grad(), k, rate, options);
    oracle_b.step(b.grad(), k, rate, options);
    optimizer.step(rate);
  }
  // Twenty float32 updates of at most 1e-2 on numbers near 1: rounding of about 1e-7 each.
  CHECK(at::allclose(a.detach().to(at::kDouble), oracle_a.p, 0, 2e-6));
  CHECK(at::allclose(b.detach().to(at::kDouble), oracle_b.p, 0, 2e-6));
}

TEST_CASE("a skipped step leaves parameters and moments bit for bit as they were", "[train]") {
  auto a = normal({40}, 3).requires_grad_();
  AdamW optimizer({{"a", a}}, {});
  a.mutable_grad() = normal({40}, 4);
  optimizer.step(0.01);
  const auto parameter = a.detach().clone();
  std::vector<at::Tensor> moments;
  for (const auto& [name, tensor] : optimizer.state()) moments.push_back(tensor.clone());
  a.mutable_grad() = at::full({40}, std::numeric_limits<float>::quiet_NaN());
  optimizer.step(0.01, at::full({}, 1.0f));
  CHECK(at::equal(a.detach(), parameter));
  CHECK(at::equal(optimizer.state()[1].second, moments[1]));
  CHECK(at::equal(optimizer.state()[2].second, moments[2]));
}

TEST_CASE("with float32 masters many small updates of a bfloat16 parameter are not lost", "[train]") {
  auto with = at::full({8}, 1.0f, at::kBFloat16).requires_grad_(), without = with.detach().clone().requires_grad_();
  AdamWOptions plain;
  plain.float32_masters = false;
  AdamW kept({{"p", with}}, {}), lost({{"p", without}}, plain);
  for (int k = 0; k < 100; ++k) {
    with.mutable_grad() = at::full({8}, 1.0f, at::kBFloat16);
    without.mutable_grad() = at::full({8}, 1.0f, at::kBFloat16);
    kept.step(1e-3);
    lost.step(1e-3);
  }
  // 100 steps of 1e-3 with a constant gradient move by 0.1; half a unit of bfloat16 at 1 is 0.002, above one step.
  CHECK(with.detach().to(at::kFloat)[0].item<float>() == Approx(0.9).margin(0.004));
  CHECK(without.detach().to(at::kFloat)[0].item<float>() == Approx(1.0).margin(0.004));
}

TEST_CASE("optimizer state comes back bit for bit, and a wrong one is refused by name", "[train]") {
  auto a = normal({6}, 5).requires_grad_();
  AdamW first({{"a", a}}, {});
  a.mutable_grad() = normal({6}, 6);
  first.step(0.1);
  NamedTensors saved;
  for (const auto& [name, tensor] : first.state()) saved.emplace_back(name, tensor.clone());
  AdamW second({{"a", a}}, {});
  second.load_state(saved, "file");
  CHECK(second.steps_done() == 1);
  for (size_t i = 0; i < saved.size(); ++i) CHECK(at::equal(second.state()[i].second, saved[i].second));
  auto incomplete = saved;
  incomplete.pop_back();
  CHECK_THROWS_WITH(second.load_state(incomplete, "file"), Contains("exp_avg_sq.a"));
  auto left_over = saved;
  left_over.emplace_back("exp_avg.b", at::full({1}, 0.0f));
  CHECK_THROWS_WITH(second.load_state(left_over, "file"), Contains("exp_avg.b"));
}

namespace {

AdamWOptions in_eight_bits() {
  AdamWOptions options;
  options.moments = MomentFormat::kInt8;
  return options;
}

}  // namespace

TEST_CASE("moments in 8 bits: large tensors take 2.03 bytes an entry, small ones are stepped as ever", "[train]") {
  auto large = normal({64, 64}, 1).requires_grad_(), small = normal({63, 65}, 2).requires_grad_(),
       same = small.detach().clone().requires_grad_();
  AdamW optimizer({{"large", large}, {"small", small}}, in_eight_bits()), full({{"small", same}}, {});
  CHECK(optimizer.state_bytes() == 2 * 4096 + 2 * 16 * 4 + 2 * 4095 * 4);
  for (int k = 1; k <= 3; ++k) {
    large.mutable_grad() = normal({64, 64}, 10 + static_cast<uint64_t>(k));
    small.mutable_grad() = normal({63, 65}, 20 + static_cast<uint64_t>(k));
    same.mutable_grad() = small.grad().clone();
    optimizer.step(0.01);
    full.step(0.01);
  }
  CHECK(at::equal(small.detach(), same.detach()));
  std::map<std::string, at::Tensor> state;
  for (const auto& [name, tensor] : optimizer.state()) state[name] = tensor;
  CHECK(state.size() == 7);
  CHECK(state.at("exp_avg.large").scalar_type() == at::kByte);
  CHECK(state.at("exp_avg_sq_absmax.large").numel() == 16);
  CHECK(state.at("exp_avg.small").scalar_type() == at::kFloat);
}

TEST_CASE("moments in 8 bits: a skipped step and a load change no bit, and the other format's state is refused", "[train]") {
  auto a = normal({80, 60}, 3).requires_grad_();
  AdamW optimizer({{"a", a}}, in_eight_bits());
  for (int k = 1; k <= 2; ++k) {
    a.mutable_grad() = normal({80, 60}, 4 + static_cast<uint64_t>(k));
    optimizer.step(0.01);
  }
  const auto parameter = a.detach().clone();
  NamedTensors saved;
  for (const auto& [name, tensor] : optimizer.state()) saved.emplace_back(name, tensor.clone());
  optimizer.step(0.01, at::full({}, 1.0f));
  CHECK(at::equal(a.detach(), parameter));
  for (size_t i = 1; i < saved.size(); ++i) CHECK(at::equal(optimizer.state()[i].second, saved[i].second));
  auto b = parameter.clone().requires_grad_();
  AdamW second({{"a", b}}, in_eight_bits()), full({{"a", b}}, {});
  CHECK_THROWS_WITH(full.load_state(saved, "file"), Contains("exp_avg.a"));
  second.load_state(saved, "file");
  a.mutable_grad() = normal({80, 60}, 9), b.mutable_grad() = a.grad().clone();
  optimizer.load_state(saved, "file");
  optimizer.step(0.01);
  second.step(0.01);
  CHECK(at::equal(a.detach(), b.detach()));
}

TEST_CASE("moments in 8 bits follow AdamW: a least-squares fit ends where float32 moments end", "[train]") {
  const auto inputs = normal({256, 64}, 1), target = inputs.mm(normal({64, 80}, 2));
  const auto loss_after = [&](const AdamWOptions& options, at::ScalarType dtype) {
    auto weight = at::full({64, 80}, 0.0f, dtype).requires_grad_();
    AdamW optimizer({{"w", weight}}, options);
    double loss = 0;
    for (int k = 0; k < 150; ++k) {
      const auto error = inputs.mm(weight.to(at::kFloat)) - target;
      const auto mean = error.square().mean();
      mean.backward();
      optimizer.step(0.05 * (1 - k / 150.0));
      optimizer.zero_gradients();
      loss = mean.item<double>();
    }
    return loss;
  };
  const double full = loss_after({}, at::kFloat);
  CHECK(full < 0.3);  // of 64 at the start
  // A moment is known to a few per cent, and so is the speed with which the rest of the way is gone.
  CHECK(loss_after(in_eight_bits(), at::kFloat) == Approx(full).epsilon(0.2).margin(1e-3));
  CHECK(loss_after(in_eight_bits(), at::kBFloat16) < 0.3);  // masters in float32, moments of those
  auto without = in_eight_bits();
  without.float32_masters = false;
  CHECK(loss_after(without, at::kBFloat16) < 1);  // updates below bfloat16's rounding are lost
}

TEST_CASE("the gradient norm spans all tensors and clipping scales to it by torch's formula", "[train]") {
  std::vector<at::Tensor> gradients{at::full({2}, 3.0f), at::Tensor(), at::full({1}, 4.0f, at::kBFloat16).to(at::kFloat)};
  const auto norm = gradient_norm(gradients);
  CHECK(norm.item<float>() == Approx(std::sqrt(34.0)));
  clip_gradients(gradients, norm, 1.0);
  CHECK(gradients[0][0].item<float>() == Approx(3.0 / (std::sqrt(34.0) + 1e-6)));
  const auto small = gradient_norm(gradients);
  clip_gradients(gradients, small, 10.0);  // already below: unchanged
  CHECK(gradients[2][0].item<float>() == Approx(4.0 / (std::sqrt(34.0) + 1e-6)));
}
