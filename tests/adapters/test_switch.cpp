// Several adapters on one base.
#include <algorithm>
#include <chrono>

#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include "adapters/toy_models.h"
#include "graft/ops/recompute.h"
#include "support/catch.h"

using namespace graft;
using namespace graft::test;

namespace {

LoraOptions named(const std::string& name, int64_t rank = 2) { return LoraOptions(rank).name(name).seed(rank); }

}  // namespace

TEST_CASE("two customers of one base: each gets its own answers, and the base stays bit for bit", "[adapters]") {
  auto net = make_net();
  const auto base = snapshot(*net);
  const auto ids = some_ids();
  const auto bare = net->forward(ids).detach();
  auto a = attach(*net, named("customer-a"));
  REQUIRE(active(*net) == std::vector<std::string>{"customer-a"});
  randomize(a, 1);
  const auto of_a = net->forward(ids).detach();
  auto b = attach(*net, named("customer-b", 3));
  REQUIRE(active(*net) == std::vector<std::string>{"customer-b"});
  randomize(b, 2);
  const auto of_b = net->forward(ids).detach();
  REQUIRE(largest_difference(of_a, of_b) > 1e-2);

  activate(*net, "customer-a");
  REQUIRE(at::equal(net->forward(ids), of_a));
  activate(*net, "customer-b");
  REQUIRE(at::equal(net->forward(ids), of_b));
  deactivate(*net);
  REQUIRE(active(*net).empty());
  REQUIRE(at::equal(net->forward(ids), bare));
  REQUIRE(adapter_names(*net) == std::vector<std::string>{"customer-a", "customer-b"});

  a.detach();
  activate(*net, "customer-b");
  REQUIRE(at::equal(net->forward(ids), of_b));
  b.detach();
  REQUIRE(same_bits(*net, base));
}

TEST_CASE("a weighted sum is W + Σ weight·s·B·A", "[adapters]") {
  auto net = make_net();
  const at::Tensor weight = net->head->weight.detach().clone();
  auto a = attach(*net, named("a")), b = attach(*net, named("b", 3));
  randomize(a, 1), randomize(b, 2);
  const auto delta = [](const AdapterSet& set) {
    return 2 * values(set).at("head.lora_B.weight").matmul(values(set).at("head.lora_A.weight"));
  };
  const auto hidden = torch::randn({4, 8});
  const auto check = [&](const at::Tensor& expected) {
    REQUIRE(largest_difference(dense_weight(net->head->weight), expected) < kFloatTolerance);
    REQUIRE(largest_difference(net->head(hidden), hidden.matmul(expected.t()) + net->head->bias) < 10 * kFloatTolerance);
  };
  activate(*net, {"a", "b"});
  check(weight + delta(a) + delta(b));
  activate(*net, {{"a", 0.25}, {"b", -1.5}});
  check(weight + 0.25 * delta(a) - 1.5 * delta(b));
  net->head(hidden).sum().backward();
  REQUIRE(a.parameters().back().grad().defined());
  REQUIRE(b.parameters().back().grad().defined());
}

TEST_CASE("inactive adapters get no gradient", "[adapters]") {
  auto net = make_net();
  auto a = attach(*net, named("a")), b = attach(*net, named("b"));
  net->forward(some_ids()).sum().backward();
  for (const auto& parameter : a.parameters()) REQUIRE_FALSE(parameter.grad().defined());
  for (const auto& parameter : b.parameters()) REQUIRE(parameter.grad().defined());
  REQUIRE(trainable_parameters(*net).size() == b.parameters().size());
}

TEST_CASE("switching among adapters on 210 modules takes less than a millisecond", "[adapters]") {
  Net net(11, 8, 105);
  std::vector<AdapterSet> sets;
  for (const std::string name : {"a", "b", "c"}) sets.push_back(attach(*net, named(name).targets({"up_proj", "down_proj"})));
  double best = 1e9;
  for (int i = 0; i < 10; ++i) {  // the best of ten: a busy machine must not decide
    const auto start = std::chrono::steady_clock::now();
    activate(*net, i % 2 == 0 ? "a" : "b");
    best = std::min(best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  INFO(best << " ms");
  REQUIRE(best < 1.0);
}

TEST_CASE("bias all, lora_only and modules_to_save train copies; the base comes back", "[adapters]") {
  const auto ids = some_ids();
  for (const std::string bias : {"all", "lora_only"}) {
    auto net = make_net();
    const auto base = snapshot(*net);
    const auto bare = net->forward(ids).detach();
    auto adapters = attach(*net, LoraOptions(2).targets({"down_proj", "0"}).bias(bias).modules_to_save({"head", "layers.1.norm"}));
    REQUIRE(at::equal(net->forward(ids), bare));
    const auto names = values(adapters);
    REQUIRE(names.count("tail.0.base_layer.bias") == 1);
    REQUIRE(names.count("head.weight") == 1);
    REQUIRE(names.count("head.bias") == 1);
    REQUIRE(names.count("layers.1.norm.weight") == 1);
    REQUIRE(names.count("layers.0.norm.bias") == (bias == "all" ? 1 : 0));

    torch::optim::SGD optimizer(adapters.parameters(), 0.1);
    net->forward(ids).square().mean().backward();
    for (const auto& parameter : adapters.parameters()) REQUIRE(parameter.grad().defined());
    optimizer.step();
    optimizer.step();  // a second one so that A, whose gradient was zero while B was, need not move: only copies are checked
    const auto trained = net->forward(ids).detach();
    REQUIRE(largest_difference(trained, bare) > 1e-3);
    deactivate(*net);
    REQUIRE(at::equal(net->forward(ids), bare));
    activate(*net, "default");
    REQUIRE(at::equal(net->forward(ids), trained));
    adapters.detach();
    REQUIRE(same_bits(*net, base));
  }
}

TEST_CASE("trained copies of two adapters do not mix", "[adapters]") {
  auto net = make_net();
  const auto ids = some_ids();
  auto a = attach(*net, named("a").targets("0").bias("all")), b = attach(*net, named("b").targets("0").modules_to_save("head"));
  auto c = attach(*net, named("c").targets("down_proj"));
  activate(*net, "a");
  randomize(a);
  const auto of_a = net->forward(ids).detach();
  activate(*net, "b");
  randomize(b);
  const auto of_b = net->forward(ids).detach();
  activate(*net, "a");
  REQUIRE(at::equal(net->forward(ids), of_a));
  activate(*net, "b");
  REQUIRE(at::equal(net->forward(ids), of_b));
  REQUIRE_THROWS_WITH(activate(*net, {"a", "b"}), Contains("both replace head.bias"));
  REQUIRE_THROWS_WITH(activate(*net, {{"b", 0.5}}), Contains("can only be 1"));
  REQUIRE(at::equal(net->forward(ids), of_b));  // a refused switch changes nothing
  activate(*net, {"b", "c"});
  REQUIRE(at::equal(net->forward(ids), of_b));  // c is still zero
}

TEST_CASE("an unknown or doubled adapter name is refused with the nearest", "[adapters]") {
  auto net = make_net();
  REQUIRE_THROWS_WITH(activate(*net, "a"), Contains("no adapters"));
  auto a = attach(*net, named("customer-a"));
  REQUIRE_THROWS_WITH(activate(*net, "customer-b"), Contains("customer-a"));
  REQUIRE_THROWS_WITH(activate(*net, {"customer-a", "customer-a"}), Contains("twice"));
  REQUIRE_THROWS_WITH(attach(*net, named("customer-a")), Contains("already has an adapter"));
  REQUIRE_THROWS_WITH(attach(*net->tail, named("other")), Contains("another module"));
  REQUIRE(active(*net) == std::vector<std::string>{"customer-a"});
}

TEST_CASE("describe counts what is trained", "[adapters]") {
  auto net = make_net();
  auto a = attach(*net, named("a").targets("head"));
  REQUIRE_THAT(describe(*net), Contains("\"a\" (active): rank 2 on 1 modules, 38 parameters"));  // 2·8 + 11·2
}

TEST_CASE("named_parameters are the tensors to train, of an inactive adapter too; named_tensors is all there is, with its values",
          "[adapters]") {
  struct NormedImpl : torch::nn::Module {
    NormedImpl() : linear(register_module("linear", torch::nn::Linear(4, 4))), bn(register_module("bn", torch::nn::BatchNorm1d(4))) {}
    torch::nn::Linear linear;
    torch::nn::BatchNorm1d bn;
  };
  auto net = std::make_shared<NormedImpl>();
  auto a = attach(*net, named("a").modules_to_save("bn").bias("lora_only"));
  randomize(a);
  const at::Tensor bias = net->linear->bias.detach().clone();
  auto b = attach(*net, named("b").bias("lora_only"));
  const auto trained = a.parameters();
  const auto names = a.named_parameters();
  REQUIRE(names.size() == trained.size());
  for (size_t i = 0; i < names.size(); ++i) REQUIRE(names[i].second.is_same(trained[i]));
  const auto all = a.named_tensors();
  REQUIRE(all.size() == names.size() + 3);  // running_mean, running_var, num_batches_tracked
  const auto found = std::find_if(all.begin(), all.end(),
                                  [](const auto& entry) { return entry.first.find("linear.base_layer.bias") != std::string::npos; });
  REQUIRE(found != all.end());
  REQUIRE(at::equal(found->second, bias));
  REQUIRE_FALSE(at::equal(net->linear->bias.detach(), bias));  // b's is shown
}

TEST_CASE("to(dtype) reaches biases and norms that wait: the base's, and another adapter's", "[adapters]") {
  auto net = make_net();
  const auto ids = some_ids();
  SECTION("beside a master, which to() does not change") {
    net->to(at::kBFloat16);
    auto adapters = attach(*net, LoraOptions(2).bias("lora_only"));
    REQUIRE(net->head->bias.scalar_type() == at::kFloat);
    net->to(at::kFloat);
    adapters.detach();
    for (const auto& parameter : net->named_parameters()) REQUIRE(parameter.value().scalar_type() == at::kFloat);
  }
  SECTION("the copy of an inactive adapter") {
    auto a = attach(*net, named("a").modules_to_save("layers.0.norm")), b = attach(*net, named("b").modules_to_save("layers.0.norm"));
    net->to(at::kBFloat16);
    activate(*net, "a");
    REQUIRE(net->blocks->ptr<BlockImpl>(0)->norm->weight.scalar_type() == at::kBFloat16);
    deactivate(*net);
    REQUIRE(net->blocks->ptr<BlockImpl>(0)->norm->weight.scalar_type() == at::kBFloat16);
    activate(*net, "b");
  }
  SECTION("a base that is shown") {
    auto a = attach(*net, named("a").modules_to_save("layers.0.norm"));
    deactivate(*net);
    net->to(at::kDouble);
    activate(*net, "a");
    REQUIRE(net->blocks->ptr<BlockImpl>(0)->norm->weight.scalar_type() == at::kDouble);
  }
  SECTION("a bias in float32 beside weights in bfloat16 is the base's own") {
    auto* linear = net->tail->ptr<torch::nn::LinearImpl>(0).get();
    linear->weight.set_data(linear->weight.detach().to(at::kBFloat16));
    auto adapters = attach(*net->tail, named("a").bias("lora_only"));
    REQUIRE(linear->weight.scalar_type() == at::kBFloat16);
    adapters.detach();
    REQUIRE(linear->bias.scalar_type() == at::kFloat);
    return;
  }
  REQUIRE(net->forward(ids).scalar_type() == net->head->weight.scalar_type());
}

TEST_CASE("a recomputed block gives gradients to the adapter of its forward, whatever was activated since", "[adapters]") {
  const std::string between = GENERATE("a", "b", "");
  const auto gradients = [&](bool recomputed) {
    auto net = make_net();
    auto a = attach(*net, named("a").bias("all").modules_to_save("layers.0.norm")), b = attach(*net, named("b").bias("all"));
    randomize(b, 2);
    activate(*net, "a");
    randomize(a, 1);
    auto block = net->blocks->ptr<BlockImpl>(0);
    const auto run = [block](const at::Tensor& input, ops::Pass) { return block->forward(input); };
    const auto x = torch::linspace(-1, 1, 24).view({3, 8}).requires_grad_();
    const auto y = recomputed ? ops::recompute(run, x) : run(x, {});
    if (recomputed) between.empty() ? deactivate(*net) : activate(*net, between);
    y.square().sum().backward();
    if (recomputed) REQUIRE(active(*net) == (between.empty() ? std::vector<std::string>{} : std::vector<std::string>{between}));
    activate(*net, "b");
    for (const auto& parameter : b.parameters()) REQUIRE_FALSE(parameter.grad().defined());
    activate(*net, "a");
    std::vector<at::Tensor> out{x.grad()};
    for (const auto& [name, tensor] : a.named_parameters())
      if (name.find("layers.0") != std::string::npos) out.push_back(tensor.grad());
    return out;
  };
  const auto plain = gradients(false), again = gradients(true);
  REQUIRE(plain.size() == again.size());
  for (size_t i = 0; i < plain.size(); ++i) REQUIRE(at::equal(plain[i], again[i]));
}

TEST_CASE("a recomputed block whose adapter was removed before backward is refused, not left without gradients", "[adapters]") {
  auto net = make_net();
  auto a = attach(*net, named("a"));
  auto block = net->blocks->ptr<BlockImpl>(0);
  const auto y = ops::recompute([block](const at::Tensor& input, ops::Pass) { return block->forward(input); }, torch::randn({3, 8}));
  auto b = attach(*net, named("b"));
  a.detach();
  REQUIRE_THROWS_AS(y.sum().backward(), UsageError);
  REQUIRE(active(*net) == std::vector<std::string>{"b"});
}
