#include <torch/serialize.h>

#include "adapters/toy_models.h"
#include "support/catch.h"
#include "support/devices.h"

using namespace graft;
using namespace graft::test;

TEST_CASE("merge leaves the outputs and a plain model", "[adapters]") {
  for_each_device([](at::Device device) {
    auto net = make_net();
    net->to(device);
    auto adapters = attach(*net, LoraOptions(2).targets({"embed", "all-linear"}).bias("all").modules_to_save("layers.0.norm"));
    randomize(adapters);
    const auto ids = some_ids().to(device);
    const auto adapted = net->forward(ids).detach();
    adapters.merge();
    REQUIRE(adapter_names(*net).empty());
    REQUIRE(largest_difference(net->forward(ids), adapted) < 20 * kFloatTolerance);
    REQUIRE(net->head->weight.requires_grad());  // the flags from before attach
    auto copy = std::dynamic_pointer_cast<BlockImpl>(net->blocks->ptr<BlockImpl>(0));
    REQUIRE(copy->up_proj->weight.storage().nbytes() > 0);  // a plain tensor again
    std::ostringstream archive;
    REQUIRE_NOTHROW(torch::save(net, archive));
    REQUIRE_THROWS_WITH(adapters.merge(), Contains("on no model"));
  });
}

TEST_CASE("merge sums in float32 and rounds once", "[adapters]") {
  auto holder = torch::nn::Sequential(torch::nn::Linear(torch::nn::LinearOptions(32, 32).bias(false)));
  holder->to(at::kBFloat16);
  auto* linear = holder->ptr<torch::nn::LinearImpl>(0).get();
  const at::Tensor base = linear->weight.detach().clone();
  auto adapters = attach(*holder, LoraOptions(4).alpha(2));
  randomize(adapters);
  const auto f = values(adapters);
  const at::Tensor expected =
      (base.to(at::kDouble) + 0.5 * f.at("0.lora_B.weight").to(at::kDouble).matmul(f.at("0.lora_A.weight").to(at::kDouble)))
          .to(at::kBFloat16);
  adapters.merge();
  // Float32 against float64 sums may fall on two sides of a rounding boundary, rarely and by one unit.
  const auto different = (linear->weight.detach() != expected).sum().item<int64_t>();
  REQUIRE(different <= 2);
}

TEST_CASE("merging one of two adapters keeps the other on top", "[adapters]") {
  auto net = make_net();
  auto a = attach(*net, LoraOptions(2).name("a")), b = attach(*net, LoraOptions(2).name("b"));
  randomize(a, 1), randomize(b, 2);
  activate(*net, {{"a", 0.5}, {"b", 1.0}});
  const auto both = net->forward(some_ids()).detach();
  a.merge();
  REQUIRE(active(*net) == std::vector<std::string>{"b"});
  REQUIRE(largest_difference(net->forward(some_ids()), both) < 20 * kFloatTolerance);
}

TEST_CASE("merge refuses what would change the outputs, and changes nothing", "[adapters]") {
  auto net = make_net();
  const auto base = snapshot(*net);
  auto adapters = attach(*net, LoraOptions(2));
  deactivate(*net);
  REQUIRE_THROWS_WITH(adapters.merge(), Contains("not active"));
  activate(*net, "default");
  {
    torch::NoGradGuard no_graph;
    adapters.parameters().back().fill_(std::numeric_limits<float>::infinity());
    adapters.parameters()[adapters.parameters().size() - 2].fill_(1);
  }
  REQUIRE_THROWS_WITH(adapters.merge(), Contains("not finite"));
  adapters.detach();
  REQUIRE(same_bits(*net, base));
}

TEST_CASE("a float64 base is summed in float64", "[adapters]") {
  auto net = make_net();
  net->to(at::kDouble);
  const auto base = snapshot(*net);
  auto adapters = attach(*net, LoraOptions(2).targets({"up_proj", "embed"}));  // B, and the embedding's A, are zero
  const auto& weight = net->blocks->at<BlockImpl>(0).up_proj->weight;
  REQUIRE(at::equal(weight.contiguous(), base.at("layers.0.up_proj.weight")));
  REQUIRE(at::equal(dense_weight(weight), base.at("layers.0.up_proj.weight")));
  adapters.merge();
  REQUIRE(same_bits(*net, base));
  auto trained = attach(*net, LoraOptions(2).alpha(3).targets({"up_proj"}).dtype(at::kDouble));
  randomize(trained);
  const auto f = values(trained);
  const at::Tensor expected = base.at("layers.0.up_proj.weight") +
                              1.5 * f.at("layers.0.up_proj.lora_B.weight").matmul(f.at("layers.0.up_proj.lora_A.weight")).detach();
  trained.merge();
  REQUIRE(largest_difference(net->blocks->at<BlockImpl>(0).up_proj->weight.detach(), expected) < 1e-14);
}
