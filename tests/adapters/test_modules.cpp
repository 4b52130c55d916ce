// Which modules an adapter reaches, in models nobody prepared for it.
#include "adapters/toy_models.h"
#include "support/catch.h"

using namespace graft;
using namespace graft::test;

namespace {

void check_trains(torch::nn::Module& model, const AdapterSet& adapters, const at::Tensor& output) {
  output.square().sum().backward();
  for (const auto& parameter : adapters.parameters()) REQUIRE(parameter.grad().defined());
  for (const auto& parameter : model.parameters()) REQUIRE_FALSE(parameter.grad().defined());
}

}  // namespace

TEST_CASE("TransformerEncoder: feed-forward and output projections are adapted", "[adapters]") {
  torch::manual_seed(1);
  torch::nn::TransformerEncoder encoder(
      torch::nn::TransformerEncoderOptions(torch::nn::TransformerEncoderLayerOptions(8, 2).dim_feedforward(16).dropout(0), 2));
  const auto x = torch::randn({5, 3, 8});
  for (const bool training : {true, false}) {
    encoder->train(training);
    const auto before = encoder->forward(x);
    auto adapters = attach(*encoder, LoraOptions(2).targets("all-linear"));
    REQUIRE(adapters.parameters().size() == 2 * 3 * 2);  // layers × (out_proj, linear1, linear2) × (A, B)
    REQUIRE(at::equal(encoder->forward(x), before));
    randomize(adapters);
    const auto after = encoder->forward(x);
    REQUIRE(largest_difference(after, before) > 1e-3);
    check_trains(*encoder, adapters, after);
    adapters.merge();
    REQUIRE(largest_difference(encoder->forward(x), after) < 20 * kFloatTolerance);
  }
}

TEST_CASE("MultiheadAttention: out_proj is adapted, with and without its own key sizes", "[adapters]") {
  torch::manual_seed(1);
  for (const bool own_sizes : {false, true}) {
    auto options = torch::nn::MultiheadAttentionOptions(8, 2);
    if (own_sizes) options.kdim(4).vdim(4);
    torch::nn::MultiheadAttention attention(options);
    const auto q = torch::randn({5, 3, 8}), k = own_sizes ? torch::randn({5, 3, 4}) : q, v = own_sizes ? torch::randn({5, 3, 4}) : q;
    const auto before = std::get<0>(attention->forward(q, k, v));
    auto adapters = attach(*attention, LoraOptions(2));
    REQUIRE(at::equal(std::get<0>(attention->forward(q, k, v)), before));
    randomize(adapters);
    const auto after = std::get<0>(attention->forward(q, k, v));
    REQUIRE(largest_difference(after, before) > 1e-3);
    check_trains(*attention, adapters, after);
  }
}

TEST_CASE("ModuleDict, ModuleList and Sequential, one inside the other", "[adapters]") {
  torch::manual_seed(1);
  torch::nn::ModuleList list(torch::nn::Linear(4, 4), torch::nn::ReLU(), torch::nn::Sequential(torch::nn::Linear(4, 2)));
  torch::nn::ModuleDict dict;
  dict->update({{"left", torch::nn::Linear(4, 4).ptr()}, {"right", list.ptr()}});
  auto adapters = attach(*dict, LoraOptions(2));
  REQUIRE(values(adapters).count("left.lora_A.weight") == 1);
  REQUIRE(values(adapters).count("right.0.lora_A.weight") == 1);
  REQUIRE(values(adapters).count("right.2.0.lora_B.weight") == 1);
}

TEST_CASE("a weight shared by two modules is stored once and each gets its own adapter", "[adapters]") {
  torch::manual_seed(1);
  auto holder = torch::nn::Sequential(torch::nn::Linear(4, 4), torch::nn::Linear(4, 4));
  auto *first = holder->ptr<torch::nn::LinearImpl>(0).get(), *second = holder->ptr<torch::nn::LinearImpl>(1).get();
  second->weight = first->weight;
  const at::Tensor shared = first->weight;
  const auto x = torch::randn({3, 4});
  const auto before = holder->forward(x);
  auto adapters = attach(*holder, LoraOptions(2));
  REQUIRE(adapters.parameters().size() == 4);
  REQUIRE(at::equal(holder->forward(x), before));
  randomize(adapters);
  const auto f = values(adapters);
  const auto w = [&](const std::string& i) { return shared.detach() + 2 * f.at(i + ".lora_B.weight").matmul(f.at(i + ".lora_A.weight")); };
  const auto expected = (x.matmul(w("0").t()) + first->bias).matmul(w("1").t()) + second->bias;
  REQUIRE(largest_difference(holder->forward(x), expected) < 10 * kFloatTolerance);
  holder->to(at::kDouble);
  REQUIRE(shared.scalar_type() == at::kDouble);  // the one stored base was cast, for both
  REQUIRE(first->weight.scalar_type() == at::kDouble);
  adapters.detach();
  REQUIRE(first->weight.is_same(shared));
  REQUIRE(second->weight.is_same(shared));
}

TEST_CASE("a head tied to an embedding: each is adapted alone, and merge unties", "[adapters]") {
  torch::manual_seed(1);
  const auto ids = torch::arange(0, 6).view({2, 3});
  for (const std::string target : {"head", "embed"}) {
    Tied model;
    const at::Tensor base = model->embed->weight.detach().clone();
    const auto before = model->forward(ids);
    auto adapters = attach(*model, LoraOptions(2).targets(target));
    REQUIRE(at::equal(model->forward(ids), before));
    randomize(adapters);
    const auto f = values(adapters);
    const at::Tensor delta = target == "head" ? f.at("head.lora_B.weight").matmul(f.at("head.lora_A.weight"))
                                              : f.at("embed.lora_embedding_B").matmul(f.at("embed.lora_embedding_A")).t();
    const at::Tensor table = target == "embed" ? base + 2 * delta : base, output = target == "head" ? base + 2 * delta : base;
    const at::Tensor expected = table.index({ids}).matmul(output.t());
    REQUIRE(largest_difference(model->forward(ids), expected) < 10 * kFloatTolerance);
    adapters.merge();
    REQUIRE(largest_difference(model->forward(ids), expected) < 10 * kFloatTolerance);
    const at::Tensor& untouched = target == "head" ? model->embed->weight : model->head->weight;
    REQUIRE(at::equal(untouched.detach(), base));
  }
}

TEST_CASE("an adapted embedding used as an output weight by hand means the same matrix", "[adapters]") {
  Tied model;
  auto adapters = attach(*model, LoraOptions(2).targets("embed"));
  randomize(adapters);
  const auto hidden = torch::randn({3, 4});
  REQUIRE(largest_difference(torch::linear(hidden, model->embed->weight), hidden.matmul(dense_weight(model->embed->weight).t())) <
          10 * kFloatTolerance);
  torch::linear(hidden, model->embed->weight).sum().backward();
  for (const auto& parameter : adapters.parameters()) REQUIRE(parameter.grad().defined());
}

TEST_CASE("padding_idx gets no gradient and the padding row stays the base's", "[adapters]") {
  auto holder = torch::nn::Sequential(torch::nn::Embedding(torch::nn::EmbeddingOptions(5, 4).padding_idx(2)));
  auto adapters = attach(*holder, LoraOptions(2).targets("0"));
  holder->forward(torch::tensor({0, 2, 2})).sum().backward();
  const auto gradient = adapters.parameters()[0].grad();  // A [r, num]
  REQUIRE(gradient.select(1, 2).abs().max().item<double>() == 0);
  REQUIRE(gradient.select(1, 0).abs().max().item<double>() > 0);
}

TEST_CASE("a module registered twice is adapted once", "[adapters]") {
  struct TwiceImpl : torch::nn::Module {
    TwiceImpl() : a(register_module("a", torch::nn::Linear(3, 3))) { register_module("b", a); }
    torch::nn::Linear a;
  };
  auto model = std::make_shared<TwiceImpl>();
  auto adapters = attach(*model, LoraOptions(2));
  REQUIRE(adapters.parameters().size() == 2);
}
