#include <ATen/autocast_mode.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include "adapters/toy_models.h"
#include "support/catch.h"
#include "support/devices.h"

using namespace graft;
using namespace graft::test;

TEST_CASE("a new adapter leaves the logits as they are, bit for bit", "[adapters]") {
  for_each_device([](at::Device device) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      auto net = make_net();
      net->to(device, dtype);
      const auto ids = some_ids().to(device);
      const auto before = net->forward(ids);
      auto adapters = attach(*net, LoraOptions(4).targets({"embed", "up_proj", "down_proj", "0", "head"}).bias("all"));
      REQUIRE(at::equal(net->forward(ids), before));
      at::NoGradGuard no_graph;
      REQUIRE(at::equal(net->forward(ids), before));
    }
  });
}

TEST_CASE("outputs and gradients equal an explicit W + s·B·A", "[adapters]") {
  for_each_device([](at::Device device) {
    auto net = make_net();
    net->to(device);
    const auto base = snapshot(*net);
    auto adapters = attach(*net, LoraOptions(3).alpha(7).targets({"embed", "up_proj", "down_proj", "0", "head"}));
    randomize(adapters);
    const auto ids = some_ids().to(device);

    const auto y = net->forward(ids);
    y.square().mean().backward();
    std::vector<at::Tensor> gradients;
    for (auto& parameter : adapters.parameters()) {
      REQUIRE(parameter.grad().defined());
      gradients.push_back(parameter.grad().clone());
      parameter.mutable_grad().reset();
    }

    auto dense = oracle(base, adapters, 7.0 / 3.0);
    dense->to(device);
    const auto expected = dense->forward(ids);
    expected.square().mean().backward();
    REQUIRE(largest_difference(y, expected) < 10 * kFloatTolerance);
    const auto parameters = adapters.parameters();
    for (size_t i = 0; i < parameters.size(); ++i) REQUIRE(largest_difference(gradients[i], parameters[i].grad()) < 10 * kFloatTolerance);
  });
}

TEST_CASE("only the adapter is trained", "[adapters]") {
  auto net = make_net();
  const auto base = snapshot(*net);
  auto adapters = attach(*net, LoraOptions(2).targets("all-linear"));
  torch::optim::AdamW optimizer(adapters.parameters(), 1e-2);
  for (int step = 0; step < 3; ++step) {
    optimizer.zero_grad();
    net->forward(some_ids()).square().mean().backward();
    optimizer.step();
  }
  for (const auto& parameter : net->parameters()) REQUIRE_FALSE(parameter.grad().defined());
  for (auto& [name, value] : values(adapters)) {
    INFO(name);
    REQUIRE(value.abs().max().item<double>() > 0);  // B has left zero
  }
  adapters.detach();
  REQUIRE(same_bits(*net, base));
}

TEST_CASE("detach gives the base back with its flags, and dense memory is not held twice", "[adapters]") {
  auto net = make_net();
  net->head->weight.set_requires_grad(false);
  const auto base = snapshot(*net);
  const at::Tensor weight = net->head->weight;
  auto adapters = attach(*net, LoraOptions(2));
  for (const auto& parameter : net->parameters()) REQUIRE_FALSE(parameter.requires_grad());
  adapters.detach();
  REQUIRE(same_bits(*net, base));
  REQUIRE(net->head->weight.is_same(weight));
  REQUIRE_FALSE(net->head->weight.requires_grad());
  REQUIRE(net->tail->ptr<torch::nn::LinearImpl>(0)->weight.requires_grad());
  REQUIRE_THROWS_WITH(adapters.detach(), Contains("on no model"));
  REQUIRE(adapters.parameters().size() == 12);  // still readable
}

TEST_CASE("named_parameters keeps the base's names, shapes and dtypes", "[adapters]") {
  auto net = make_net();
  const auto base = snapshot(*net);
  auto adapters = attach(*net, LoraOptions(2).bias("all").modules_to_save("norm"));
  const auto now = net->named_parameters();
  REQUIRE(now.size() == base.size());
  for (const auto& parameter : now) {
    REQUIRE(base.at(parameter.key()).sizes() == parameter.value().sizes());
    REQUIRE(base.at(parameter.key()).scalar_type() == parameter.value().scalar_type());
  }
}

TEST_CASE("inputs of every shape: 1-D, 2-D with bias, N-D, empty, not contiguous", "[adapters]") {
  torch::manual_seed(3);
  for (const bool bias : {true, false}) {
    auto holder = torch::nn::Sequential(torch::nn::Linear(torch::nn::LinearOptions(6, 5).bias(bias)));
    auto* linear = holder->ptr<torch::nn::LinearImpl>(0).get();
    const at::Tensor weight = linear->weight.detach().clone();
    auto adapters = attach(*holder, LoraOptions(2).alpha(3));
    randomize(adapters);
    const auto factors = values(adapters);
    const at::Tensor dense = weight + 1.5 * factors.at("0.lora_B.weight").matmul(factors.at("0.lora_A.weight"));
    for (const at::Tensor& x :
         {torch::randn({6}), torch::randn({4, 6}), torch::randn({2, 3, 6}), torch::randn({2, 1, 3, 6}), torch::randn({0, 6}),
          torch::randn({2, 0, 6}), torch::randn({6, 4}).t(), torch::randn({3, 6, 2}).transpose(1, 2)}) {
      INFO(x.sizes() << " bias " << bias);
      auto input = x.detach().requires_grad_(), reference = x.detach().clone().requires_grad_();
      const at::Tensor y = linear->forward(input);
      const at::Tensor expected = reference.matmul(dense.t()) + (bias ? linear->bias : torch::zeros({5}));
      REQUIRE(y.sizes() == expected.sizes());
      if (x.numel() > 0) REQUIRE(largest_difference(y, expected) < kFloatTolerance);
      y.square().sum().backward();
      expected.square().sum().backward({}, /*retain_graph=*/true);
      REQUIRE(input.grad().sizes() == x.sizes());
      if (x.numel() > 0) REQUIRE(largest_difference(input.grad(), reference.grad()) < 20 * kFloatTolerance);
    }
  }
}

TEST_CASE("torch::linear, inference mode and autocast go through the adapter", "[adapters]") {
  auto holder = torch::nn::Sequential(torch::nn::Linear(6, 5));
  auto* linear = holder->ptr<torch::nn::LinearImpl>(0).get();
  auto adapters = attach(*holder, LoraOptions(2));
  randomize(adapters);
  const auto x = torch::randn({3, 6});
  const at::Tensor expected = x.matmul(dense_weight(linear->weight).t()) + linear->bias;
  REQUIRE(largest_difference(torch::linear(x, linear->weight, linear->bias), expected) < kFloatTolerance);
  REQUIRE(largest_difference(x.matmul(linear->weight.transpose(0, 1)) + linear->bias, expected) < kFloatTolerance);
  // The weight the other way round: y·W.
  REQUIRE(largest_difference(expected.matmul(linear->weight), expected.matmul(dense_weight(linear->weight))) < 10 * kFloatTolerance);
  {
    c10::InferenceMode inference;
    REQUIRE(largest_difference(linear->forward(x), expected) < kFloatTolerance);
    REQUIRE(largest_difference(linear->forward(x.unsqueeze(0)), expected.unsqueeze(0)) < kFloatTolerance);
  }
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const auto low = linear->forward(x);
  at::autocast::set_autocast_enabled(at::kCPU, false);
  at::autocast::clear_cache();
  REQUIRE(low.scalar_type() == at::kBFloat16);
  REQUIRE(largest_difference(low.to(at::kFloat), expected) < 0.1);  // bfloat16 has 8 bits; values of size one
  low.sum().backward();
  REQUIRE(adapters.parameters()[0].grad().scalar_type() == at::kFloat);
}

TEST_CASE("a bfloat16 base keeps float32 masters and gives them float32 gradients", "[adapters]") {
  auto net = make_net();
  net->to(at::kBFloat16);
  auto adapters = attach(*net, LoraOptions(2));
  net->forward(some_ids()).sum().backward();
  for (const auto& parameter : adapters.parameters()) {
    REQUIRE(parameter.scalar_type() == at::kFloat);
    REQUIRE(parameter.grad().scalar_type() == at::kFloat);
  }
}

TEST_CASE("rank-stabilised scale, overrides and init", "[adapters]") {
  auto net = make_net();
  auto adapters = attach(*net, LoraOptions(4)
                                   .alpha(8)
                                   .rank_stabilized(true)
                                   .targets({"up_proj", "down_proj"})
                                   .init("gaussian")
                                   .overrides({{"layers.0.up_proj", 2, std::nullopt}, {"down_proj", std::nullopt, 3.0}}));
  const auto base = dense_weight(net->blocks->ptr<BlockImpl>(0)->up_proj->weight).clone();
  randomize(adapters);
  auto factors = values(adapters);
  REQUIRE(factors.at("layers.0.up_proj.lora_A.weight").size(0) == 2);
  REQUIRE(factors.at("layers.1.up_proj.lora_A.weight").size(0) == 4);
  const at::Tensor up =
      base + 8 / std::sqrt(2.0) * factors.at("layers.0.up_proj.lora_B.weight").matmul(factors.at("layers.0.up_proj.lora_A.weight"));
  REQUIRE(largest_difference(dense_weight(net->blocks->ptr<BlockImpl>(0)->up_proj->weight), up) < kFloatTolerance);
  REQUIRE(adapters.config().rank_pattern == std::vector<std::pair<std::string, int64_t>>{{"^layers\\.0\\.up_proj", 2}});
  REQUIRE(adapters.config().alpha_pattern == std::vector<std::pair<std::string, double>>{{"down_proj", 3.0}});
}

TEST_CASE("the start is a function of the seed and the module's path", "[adapters]") {
  auto first = make_net(), second = make_net(2);
  auto a = attach(*first, LoraOptions(4).seed(9)), b = attach(*second, LoraOptions(4).seed(9).targets("head"));
  REQUIRE(at::equal(values(a).at("head.lora_A.weight"), values(b).at("head.lora_A.weight")));
  const auto uniform = values(a).at("head.lora_A.weight");
  REQUIRE(uniform.abs().max().item<double>() <= 1 / std::sqrt(8.0));  // U(±1/sqrt(in)), in = 8
  REQUIRE(uniform.abs().max().item<double>() > 0.5 / std::sqrt(8.0));
  REQUIRE_FALSE(at::equal(uniform, values(a).at("tail.0.lora_A.weight")));
  auto third = make_net();
  auto wide = attach(*third, LoraOptions(64).init("gaussian").targets({"head", "embed"}));
  // 512 draws from N(0, 1/64²): the sample deviation is within 15 % (its own deviation is 3 %).
  REQUIRE(values(wide).at("head.lora_A.weight").std().item<double>() == Approx(1 / 64.0).epsilon(0.15));
  REQUIRE(values(wide).at("embed.lora_embedding_A").abs().max().item<double>() == 0);
  REQUIRE(values(wide).at("embed.lora_embedding_B").std().item<double>() == Approx(1).epsilon(0.15));
}
