#include "adapters/toy_models.h"
#include "graft/ops/recompute.h"
#include "support/catch.h"
#include "support/devices.h"

using namespace graft;
using namespace graft::test;

namespace {

struct Fixture {
  explicit Fixture(double p, at::Device device = at::kCPU) : net(make_net()) {
    net->to(device);
    adapters.emplace(attach(*net, LoraOptions(2).dropout(p).targets("all-linear")));
    randomize(*adapters);
    ids = some_ids().to(device);
  }
  ~Fixture() { clear_dropout_position(); }
  at::Tensor forward() { return net->forward(ids).detach(); }
  Net net;
  std::optional<AdapterSet> adapters;
  at::Tensor ids;
};

}  // namespace

TEST_CASE("dropout masks are a function of seed, step and micro-batch", "[adapters]") {
  for_each_device([](at::Device device) {
    Fixture f(0.5, device);
    set_dropout_position(1, 2, 3);
    const auto first = f.forward();
    REQUIRE(at::equal(f.forward(), first));
    const auto differs = [&](uint64_t seed, uint64_t step, uint64_t micro) {
      set_dropout_position(seed, step, micro);
      return !at::equal(f.forward(), first);
    };
    REQUIRE(differs(2, 2, 3));
    REQUIRE(differs(1, 3, 3));
    REQUIRE(differs(1, 2, 4));
    REQUIRE_FALSE(differs(1, 2, 3));
  });
}

TEST_CASE("without a position masks differ from call to call; eval() has none", "[adapters]") {
  Fixture f(0.5);
  const auto first = f.forward();
  REQUIRE_FALSE(at::equal(f.forward(), first));
  f.net->eval();
  const auto evaluated = f.forward();
  REQUIRE(at::equal(f.forward(), evaluated));
  Fixture without(0.0);
  REQUIRE(at::equal(without.forward(), evaluated));
}

TEST_CASE("a kept input is scaled by 1/(1-p), and the gradient uses the same mask", "[adapters]") {
  for_each_device([](at::Device device) {
    auto holder = torch::nn::Sequential(torch::nn::Linear(torch::nn::LinearOptions(64, 64).bias(false)));
    holder->to(device);
    auto* linear = holder->ptr<torch::nn::LinearImpl>(0).get();
    const at::Tensor base = linear->weight.detach().clone();
    auto adapters = attach(*holder, LoraOptions(64).alpha(64).dropout(0.25));
    {
      torch::NoGradGuard no_graph;  // A = B = I: the low-rank part is drop(x) itself
      for (auto& parameter : adapters.parameters()) parameter.copy_(torch::eye(64, device));
    }
    set_dropout_position(7, 0, 0);
    auto x = torch::rand({128, 64}, device).add_(0.5).requires_grad_();
    const auto y = linear->forward(x);
    const at::Tensor ratio = (y - x.matmul(base.t())) / x;
    const at::Tensor kept = ratio > 0.5;
    REQUIRE(largest_difference(ratio, kept.to(at::kFloat) / 0.75) < 1e-4);
    // 8192 draws: the fraction kept is within four deviations (0.0048 each).
    REQUIRE(kept.to(at::kFloat).mean().item<double>() == Approx(0.75).margin(0.02));
    y.sum().backward();
    const at::Tensor through_base = base.sum(0).expand_as(x);
    REQUIRE(largest_difference(x.grad() - through_base, kept.to(at::kFloat) / 0.75) < 1e-4);
    const at::Tensor a_gradient = torch::ones({64, 128}, device).matmul(x.detach() * kept / 0.75);
    REQUIRE(largest_difference(adapters.parameters()[0].grad(), a_gradient) < 1e-2);  // sums of 128 numbers of size one
    clear_dropout_position();
  });
}

TEST_CASE("a recomputed block sees the masks it saw", "[adapters]") {
  const bool given = GENERATE(true, false);
  const auto gradients = [&](bool recomputed) {
    Fixture f(0.5);
    given ? set_dropout_position(3, 1, 0) : clear_dropout_position();
    auto block = f.net->blocks->ptr<BlockImpl>(0);
    const auto x = torch::linspace(-1, 1, 24).view({3, 8}).requires_grad_();
    const auto run = [block](const at::Tensor& input, ops::Pass) { return block->forward(input); };
    const auto y = recomputed ? ops::recompute(run, x) : run(x, {});
    y.square().sum().backward();
    std::vector<at::Tensor> out{y.detach(), x.grad()};
    for (const auto& [name, tensor] : values(*f.adapters))
      if (name.rfind("layers.0", 0) == 0) out.push_back(tensor.grad());
    return out;
  };
  const auto plain = gradients(false), again = gradients(true);
  for (size_t i = 0; i < plain.size(); ++i) REQUIRE(at::equal(plain[i], again[i]));
}

TEST_CASE("the guard restores the position of its thread", "[adapters]") {
  set_dropout_position(1, 2, 3);
  {
    DropoutPositionGuard guard({uint64_t{9}, 8, 7});
    REQUIRE(current_dropout_position().step == 8);
  }
  REQUIRE(current_dropout_position().step == 2);
  clear_dropout_position();
}
