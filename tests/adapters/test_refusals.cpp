// What cannot be adapted, or done to an adapted model, is refused with the reason, and the model stays as it was.
#include <torch/csrc/autograd/autograd.h>
#include <torch/serialize.h>

#include "adapters/toy_models.h"
#include "support/catch.h"
#include "support/devices.h"

using namespace graft;
using namespace graft::test;

namespace {

/// The text of the error that attaching with these options gives; the model must be untouched.
std::string refusal(torch::nn::Module& model, const LoraOptions& options) {
  const auto before = snapshot(model);
  std::string text = "nothing was thrown";
  try {
    attach(model, options);
  } catch (const UsageError& error) {
    text = error.what();
  }
  REQUIRE(same_bits(model, before));
  for (const auto& parameter : model.parameters()) REQUIRE(parameter.requires_grad());
  return text;
}

}  // namespace

TEST_CASE("patterns that match nothing name the pattern, the nearest name and the number of Linear modules", "[adapters]") {
  auto net = make_net();
  CHECK_THAT(refusal(*net, LoraOptions().targets("up_pro")), Contains("\"up_pro\"") && Contains("up_proj") && Contains("6 Linear modules"));
  CHECK_THAT(refusal(*net, LoraOptions().targets({"up_proj", "q_proj"})), Contains("\"q_proj\""));
  CHECK_THAT(refusal(*net, LoraOptions().targets("*.nothing.*")), Contains("matches no module"));
  CHECK_THAT(refusal(*net, LoraOptions().targets("regex:layers\\.9\\..*")), Contains("matches no module"));
  CHECK_THAT(refusal(*net, LoraOptions().targets("attention")), Contains("\"attention\""));
  CHECK_THAT(refusal(*net, LoraOptions().exclude("up_porj")), Contains("exclude") && Contains("up_proj"));
  CHECK_THAT(refusal(*net, LoraOptions().modules_to_save("haed")), Contains("modules_to_save") && Contains("head"));
  CHECK_THAT(refusal(*net, LoraOptions().layers({0, 7}).targets("up_proj")), Contains("layer 7") && Contains("0 to 1"));
  CHECK_THAT(refusal(*net, LoraOptions().overrides({{"q_proj", 4, std::nullopt}})), Contains("overrides"));
  CHECK_THAT(refusal(*net, LoraOptions().targets("head").exclude("head")), Contains("no module is left"));
  CHECK_THAT(refusal(*net, LoraOptions().targets(std::vector<std::string>{})), Contains("empty"));
  CHECK_THAT(refusal(*net, LoraOptions().targets("norm")), Contains("LayerNorm") && Contains("only Linear and Embedding"));
}

TEST_CASE("numbers and words outside their range", "[adapters]") {
  auto net = make_net();
  CHECK_THAT(refusal(*net, LoraOptions(0)), Contains("rank"));
  CHECK_THAT(refusal(*net, LoraOptions(5000)), Contains("rank"));
  CHECK_THAT(refusal(*net, LoraOptions().alpha(std::nan(""))), Contains("alpha"));
  CHECK_THAT(refusal(*net, LoraOptions().dropout(1.0)), Contains("dropout"));
  CHECK_THAT(refusal(*net, LoraOptions().bias("lora-only")), Contains("lora_only"));
  CHECK_THAT(refusal(*net, LoraOptions().init("gausian")), Contains("gaussian"));
  CHECK_THAT(refusal(*net, LoraOptions().dtype(at::kLong)), Contains("dtype"));
  CHECK_THAT(refusal(*net, LoraOptions().name("a/b")), Contains("adapter name"));
}

TEST_CASE("modules whose weight cannot be adapted", "[adapters]") {
  auto norm_limited = torch::nn::Sequential(torch::nn::Embedding(torch::nn::EmbeddingOptions(5, 4).max_norm(1)), torch::nn::Linear(4, 4));
  CHECK_THAT(refusal(*norm_limited, LoraOptions().targets("0")), Contains("max_norm"));
  auto convolution = torch::nn::Sequential(torch::nn::Conv2d(1, 1, 3), torch::nn::Linear(4, 4));
  CHECK_THAT(refusal(*convolution, LoraOptions().targets("0")), Contains("Conv2d"));
  torch::nn::Linear alone(3, 3);
  CHECK_THAT(refusal(*alone, LoraOptions()), Contains("itself is one Linear"));
  auto without = torch::nn::Sequential(torch::nn::Conv2d(1, 1, 3));
  CHECK_THAT(refusal(*without, LoraOptions()), Contains("0 Linear modules"));
}

TEST_CASE("a bias that two modules share cannot be trained for one", "[adapters]") {
  auto holder = torch::nn::Sequential(torch::nn::Linear(4, 4), torch::nn::Linear(4, 4));
  auto* second = holder->ptr<torch::nn::LinearImpl>(1).get();
  second->bias = holder->ptr<torch::nn::LinearImpl>(0)->bias;
  struct Peek : torch::nn::Module {
    static auto parameters() { return &Peek::parameters_; }
  };
  (static_cast<torch::nn::Module*>(second)->*Peek::parameters())["bias"] = second->bias;
  CHECK_THAT(refusal(*holder, LoraOptions().bias("all")), Contains("0.bias") && Contains("1.bias"));
}

TEST_CASE("operations on an adapted model that would lose the adapter say what to do instead", "[adapters]") {
  auto net = make_net();
  auto adapters = attach(*net, LoraOptions(2));
  auto& weight = net->head->weight;
  const auto text_of = [](const std::function<void()>& action) {
    try {
      action();
    } catch (const std::exception& error) {
      return std::string(error.what());
    }
    return std::string("nothing was thrown");
  };
  CHECK_THAT(text_of([&] { net->head->clone(); }), Contains("cannot be cloned") && Contains("load_adapter"));
  CHECK_THAT(text_of([&] {
               std::ostringstream archive;
               torch::save(net, archive);
             }),
             Contains("AdapterSet::save"));
  CHECK_THAT(text_of([&] { weight.norm(); }), Contains("aten::") && Contains("head") && Contains("dense_weight"));
  CHECK_THAT(text_of([&] { weight.chunk(2); }), Contains("not defined on an adapted weight"));
  CHECK_THAT(text_of([&] {
               torch::NoGradGuard no_graph;
               weight.add_(1);
             }),
             Contains("aten::add_"));
  CHECK_THAT(text_of([&] { weight.matmul(torch::randn({8, 2})); }), Contains("right operand"));
  CHECK_THAT(text_of([&] { net->head(torch::randn({2, 8}).to(at::kDouble)); }), Contains("Double") && Contains("head"));
  CHECK_THAT(text_of([&] {
               auto x = torch::randn({2, 8}).requires_grad_();
               torch::autograd::grad({net->head(x).square().sum()}, {x}, {}, true, /*create_graph=*/true);
             }),
             Contains("twice"));
}

TEST_CASE("printing shows the effective weight, and contiguous() is differentiable", "[adapters]") {
  auto net = make_net();
  auto adapters = attach(*net, LoraOptions(2));
  randomize(adapters);
  std::ostringstream adapted, dense;
  adapted << net->head->weight;
  dense << dense_weight(net->head->weight);
  REQUIRE(adapted.str() == dense.str());
  REQUIRE_NOTHROW(adapted << *net);
  net->head->weight.contiguous().sum().backward();
  for (const auto& [name, tensor] : values(adapters))
    if (name.rfind("head", 0) == 0) REQUIRE(tensor.grad().defined());
}

TEST_CASE("to(dtype) casts the base and leaves the masters; to(device) and train/eval pass", "[adapters]") {
  auto net = make_net();
  auto adapters = attach(*net, LoraOptions(2).bias("all"));
  const auto identity = adapters.parameters()[0];
  net->to(at::kDouble);
  REQUIRE(net->head->weight.scalar_type() == at::kDouble);
  REQUIRE(adapters.parameters()[0].scalar_type() == at::kFloat);
  REQUIRE(adapters.parameters()[0].is_same(identity));
  const auto y = net->forward(some_ids());
  REQUIRE(y.scalar_type() == at::kDouble);
  y.sum().backward();
  net->to(at::kCPU);
  net->eval();
  net->train();
  deactivate(*net);
  REQUIRE(net->head->bias.scalar_type() == at::kDouble);
  REQUIRE(net->forward(some_ids()).scalar_type() == at::kDouble);
}

TEST_CASE("to(device) moves base, adapters and trained copies there and back", "[adapters]") {
  for_each_device([](at::Device device) {
    auto net = make_net();
    auto a = attach(*net, LoraOptions(2).name("a").targets({"embed", "head", "up_proj"}).bias("all").modules_to_save("layers.0.norm"));
    randomize(a);
    const auto expected = net->forward(some_ids()).detach();
    auto b = attach(*net, LoraOptions(2).name("b"));
    net->to(device);  // a is hidden meanwhile
    for (const auto& parameter : net->parameters()) REQUIRE(parameter.device() == device);
    net->forward(some_ids().to(device)).sum().backward();
    for (const auto& parameter : b.parameters()) REQUIRE(parameter.grad().device() == device);
    activate(*net, "a");
    // Another machine's sums: float32 matrix products of a few dozen terms.
    REQUIRE(largest_difference(net->forward(some_ids().to(device)).cpu(), expected) < 1e-5);
    net->forward(some_ids().to(device)).sum().backward();
    for (const auto& parameter : a.parameters()) REQUIRE(parameter.grad().device() == device);
    net->to(at::kCPU);
    REQUIRE(at::equal(net->forward(some_ids()), expected));
  });
}

TEST_CASE("x.to(weight) takes the weight's device and dtype", "[adapters]") {
  auto net = make_net();
  auto adapters = attach(*net, LoraOptions(2));
  REQUIRE(torch::ones({2}, at::kDouble).to(net->head->weight).scalar_type() == at::kFloat);
  REQUIRE(torch::zeros({2}, net->head->weight.options()).scalar_type() == at::kFloat);
}

TEST_CASE("Module::zero_grad clears the adapters' gradients", "[adapters]") {
  auto net = make_net();
  auto adapters = attach(*net, LoraOptions(2).bias("lora_only"));
  const auto gradient = [&] {
    net->forward(some_ids()).square().sum().backward();
    return adapters.parameters()[1].grad().clone();
  };
  const auto once = gradient();
  net->zero_grad();
  for (const auto& parameter : adapters.parameters()) REQUIRE_FALSE(parameter.grad().defined());
  REQUIRE(at::equal(gradient(), once));  // not accumulated
}

TEST_CASE("the adapter outlives the model", "[adapters]") {
  std::optional<AdapterSet> adapters;
  {
    auto net = make_net();
    adapters.emplace(attach(*net, LoraOptions(2)));
  }
  REQUIRE(adapters->named_parameters().size() == 12);
  REQUIRE_THROWS_WITH(adapters->merge(), Contains("the model is gone"));
}
