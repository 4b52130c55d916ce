// 4-bit bases under models nobody prepared for it, with and without adapters.
#include "adapters/toy_models.h"
#include "graft/adapters/adapted_weight.h"
#include "graft/quant/fp8.h"
#include "support/catch.h"
#include "support/devices.h"

using namespace graft;
using namespace graft::test;

namespace {

/// The same model with every Linear's weight replaced by what its 4-bit form decodes to: plain LibTorch from there on.
Net decoded(const FourBitLinears& how, at::ScalarType dtype = at::kFloat) {
  Net net = make_net();
  net->to(dtype);
  const torch::NoGradGuard no_graph;
  for (auto& module : net->modules(false))
    if (auto* linear = module->as<torch::nn::LinearImpl>())
      linear->weight.copy_(quant::decode(quant::encode(linear->weight, how.options(), "w"), dtype));
  return net;
}

std::vector<at::Tensor> gradients_of(Net& net, const AdapterSet& adapters) {
  net->forward(some_ids()).square().sum().backward();
  std::vector<at::Tensor> gradients;
  for (const auto& parameter : adapters.parameters()) gradients.push_back(parameter.grad().clone());
  return gradients;
}

}  // namespace

TEST_CASE("a quantized model computes what its decoded weights compute, to the bit", "[adapters][quant]") {
  for (const FourBitLinears& how : {FourBitLinears(Nf4Options()), Nf4Options().double_quant(true), Fp4Options().block(32)}) {
    Net net = make_net(), reference = decoded(how), dense = make_net();
    const auto report = quantize(*net, how);
    REQUIRE(report.modules == 6);  // two blocks of two, the tail, the head
    REQUIRE(report.left.empty());
    REQUIRE(report.bytes_after < report.bytes_before);
    const auto out = net->forward(some_ids());
    CHECK(at::equal(out, reference->forward(some_ids())));
    CHECK(largest_difference(out, dense->forward(some_ids())) > 1e-3);
    CHECK(out.requires_grad());  // biases, norms and the embedding still train
    CHECK(net->named_parameters()["head.bias"].requires_grad());
    CHECK_FALSE(net->named_parameters()["head.weight"].requires_grad());
    CHECK(net->named_parameters().size() == dense->named_parameters().size());
  }
}

TEST_CASE("an FP8 model computes what its decoded weights compute, under adapters too", "[adapters][quant]") {
  Net net = make_net(), reference = make_net();
  {
    const torch::NoGradGuard no_graph;
    for (const auto& item : reference->named_modules()) {
      auto* linear = item.value()->as<torch::nn::LinearImpl>();
      if (linear != nullptr && item.key() != "head") linear->weight.copy_(quant::decode(quant::to_fp8(linear->weight), at::kFloat));
    }
  }
  auto first = attach(*net, LoraOptions(2).seed(7)), second = attach(*reference, LoraOptions(2).seed(7));
  for (AdapterSet* adapters : {&first, &second}) {
    torch::manual_seed(5);
    randomize(*adapters);
  }
  const auto report = quantize(*net, Fp8Options().skip({"head"}));
  CHECK(report.modules == 5);
  REQUIRE(report.left.size() == 1);
  CHECK_THAT(report.left[0], Contains("head") && Contains("skip"));
  CHECK(report.bytes_after < report.bytes_before);
  CHECK(at::equal(net->forward(some_ids()), reference->forward(some_ids())));
  const auto a = gradients_of(net, first), b = gradients_of(reference, second);
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) CHECK(at::equal(a[i], b[i]));
}

TEST_CASE("adapters attached before and after quantization give the same outputs and gradients as on the decoded weights",
          "[adapters][quant]") {
  const auto how = Nf4Options().double_quant(true);
  Net before = make_net(), after = make_net(), reference = decoded(how);
  auto first = attach(*before, LoraOptions(2).seed(7));
  quantize(*before, how);
  quantize(*after, how);
  auto second = attach(*after, LoraOptions(2).seed(7)), third = attach(*reference, LoraOptions(2).seed(7));
  for (AdapterSet* adapters : {&first, &second, &third}) {
    torch::manual_seed(5);
    randomize(*adapters);
  }
  const auto expected = reference->forward(some_ids());
  CHECK(at::equal(before->forward(some_ids()), expected));
  CHECK(at::equal(after->forward(some_ids()), expected));
  const auto a = gradients_of(before, first), b = gradients_of(after, second), c = gradients_of(reference, third);
  REQUIRE(a.size() == c.size());
  for (size_t i = 0; i < a.size(); ++i) {
    CHECK(c[i].abs().max().item<float>() > 0);
    CHECK(at::equal(a[i], c[i]));
    CHECK(at::equal(b[i], c[i]));
  }
  // The base is rounded already: rounding the sum to 4 bits again would change the outputs.
  CHECK_THROWS_WITH(first.merge(), Contains("nf4"));
  first.detach();
  CHECK(at::equal(before->forward(some_ids()), decoded(how)->forward(some_ids())));
}

TEST_CASE("skip names leaves, globs and containers; what names nothing is refused and changes nothing", "[adapters][quant]") {
  const auto kind = [](torch::nn::Linear& linear) {
    const auto site = graft::detail::site_of(linear->weight);
    return site == nullptr ? std::string("plain") : site->base->kind();
  };
  Net net = make_net();
  const auto report = quantize(*net, Nf4Options().skip({"head", "layers.0", "*.1.down_proj"}));
  CHECK(report.modules == 2);
  CHECK(report.left.size() == 4);
  CHECK(kind(net->head) == "plain");
  CHECK(kind(net->blocks[0]->as<BlockImpl>()->up_proj) == "plain");
  CHECK(kind(net->blocks[1]->as<BlockImpl>()->down_proj) == "plain");
  CHECK(kind(net->blocks[1]->as<BlockImpl>()->up_proj) == "nf4");
  Net other = make_net();
  const auto values = snapshot(*other);
  CHECK_THROWS_WITH(quantize(*other, Nf4Options().skip({"haed"})), Contains("haed") && Contains("head"));
  CHECK_THROWS_AS(quantize(*other, Nf4Options().block(48)), UsageError);
  CHECK_THROWS_AS(quantize(*other, Nf4Options().skip({"layers", "tail", "head"})), UsageError);
  CHECK(same_bits(*other, values));
}

TEST_CASE("shared, already quantized and fully trained weights are left, with the reason", "[adapters][quant]") {
  Tied tied;
  torch::nn::Sequential model(tied, torch::nn::Linear(4, 4));
  const auto report = quantize(*model);
  CHECK(report.modules == 1);
  REQUIRE(report.left.size() == 1);
  CHECK_THAT(report.left[0], Contains("shared by") && Contains("embed"));
  CHECK(tied->head->weight.is_same(tied->embed->weight));
  CHECK_THROWS_WITH(quantize(*model), Contains("already"));

  Net net = make_net();
  auto adapters = attach(*net, LoraOptions(2).targets({"up_proj"}).modules_to_save({"head"}));
  const auto left = quantize(*net).left;
  REQUIRE(left.size() == 1);
  CHECK_THAT(left[0], Contains("head") && Contains("in full"));
  net->forward(some_ids()).sum().backward();
}

TEST_CASE("a weight that is not finite is refused by name", "[adapters][quant]") {
  Net net = make_net();
  {
    const torch::NoGradGuard no_graph;
    net->head->weight[1][2] = std::numeric_limits<float>::infinity();
  }
  CHECK_THROWS_WITH(quantize(*net), Contains("head.weight"));
  CHECK_THROWS_WITH(quantize(*net, Fp8Options()), Contains("head.weight"));
}

TEST_CASE("a quantized model moves and casts: products in the new dtype, of the same 4-bit weights", "[adapters][quant]") {
  for_each_device([](at::Device device) {
    Net net = make_net(), reference = decoded(Nf4Options());
    quantize(*net);
    net->to(device);
    reference->to(device);
    const auto ids = some_ids().to(device);
    CHECK(at::equal(net->forward(ids), reference->forward(ids)));
    net->to(at::kBFloat16);
    reference->to(at::kBFloat16);
    CHECK(net->head->weight.scalar_type() == at::kBFloat16);
    CHECK(at::equal(net->forward(ids), reference->forward(ids)));
    net->to(at::kCPU, at::kFloat);
    CHECK(net->head->weight.device().is_cpu());
    // Nothing was lost on the way: the 4-bit form stayed as it was.
    CHECK(graft::detail::site_of(net->head->weight)->base->kind() == "nf4");
    CHECK(at::equal(dense_weight(net->head->weight), decoded(Nf4Options())->head->weight));
  });
}

TEST_CASE("one model quantized on each device has the same codes", "[adapters][quant]") {
  Net first = make_net();
  quantize(*first, Nf4Options().double_quant(true));
  for_each_device([&](at::Device device) {
    Net net = make_net();
    net->to(device);
    quantize(*net, Nf4Options().double_quant(true));
    CHECK(net->head->weight.device().type() == device.type());
    CHECK(at::equal(dense_weight(net->head->weight).cpu(), dense_weight(first->head->weight)));
  });
}
