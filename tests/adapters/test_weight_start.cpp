// Adapters that start from the base's weights: PiSSA (and on a 4-bit base, QPiSSA) and LoftQ. tests/parity/test_init.py compares with PEFT.
#include "adapters/toy_models.h"
#include "graft/adapters/adapted_weight.h"
#include "graft/adapters/low_rank.h"
#include "graft/io/tensor_file.h"
#include "support/catch.h"
#include "support/devices.h"
#include "support/temporary_directory.h"

using namespace graft;
using namespace graft::test;

namespace {

constexpr double kScale = 3;  // alpha 6, rank 2
LoraOptions pissa() { return LoraOptions(2).alpha(6).init("pissa").targets({"up_proj", "down_proj", "head"}); }

double scale_of(const at::Tensor& x) { return x.abs().max().item<double>(); }

at::Tensor base_of(const at::Tensor& weight) { return graft::detail::site_of(weight)->base->dense(at::kFloat); }

/// Moves every trained tensor a little, as steps of training would.
void train_a_little(const AdapterSet& adapters) {
  torch::NoGradGuard no_graph;
  torch::manual_seed(9);
  for (auto& parameter : adapters.parameters()) parameter.add_(0.05 * torch::randn(parameter.sizes()).to(parameter.options()));
}

/// A matrix as trained ones are: a few strong directions in noise.
at::Tensor low_rank_and_noise(int64_t rows, int64_t columns, int64_t rank) {
  torch::manual_seed(3);
  return torch::randn({rows, rank}).mm(torch::randn({rank, columns})) + torch::randn({rows, columns});
}

/// One Linear [48, 64] with such a weight.
torch::nn::Sequential one_linear() {
  torch::nn::Sequential model(torch::nn::Linear(torch::nn::LinearOptions(64, 48).bias(false)));
  torch::NoGradGuard no_graph;
  model[0]->as<torch::nn::Linear>()->weight.copy_(low_rank_and_noise(48, 64, 4));
  return model;
}

at::Tensor weight_in(torch::nn::Sequential model) { return model[0]->as<torch::nn::Linear>()->weight; }

double error_of(const at::Tensor& weight, const at::Tensor& truth) { return (dense_weight(weight) - truth).norm().item<double>(); }

}  // namespace

TEST_CASE("pissa: the adapter is the best low-rank part of each weight, the base the rest, the outputs the base's", "[adapters][init]") {
  for_each_device([](at::Device device) {
    Net net = make_net(), clean = make_net();
    net->to(device), clean->to(device);
    const auto adapters = attach(*net, pissa());
    const auto factors = values(adapters);
    const at::Tensor weight = clean->blocks[1]->as<BlockImpl>()->down_proj->weight.detach();
    const at::Tensor part =
        kScale * factors.at("layers.1.down_proj.lora_B.weight").detach().mm(factors.at("layers.1.down_proj.lora_A.weight").detach());
    const auto [u, s, v] = at::linalg_svd(weight.cpu(), false);
    // What is left over of the best approximation are the other singular values (Eckart, Young 1936).
    CHECK((weight - part).norm().item<double>() == Approx(s.slice(0, 2).norm().item<double>()).epsilon(1e-5));
    CHECK(largest_difference(base_of(net->blocks[1]->as<BlockImpl>()->down_proj->weight), weight - part) < kFloatTolerance);
    // Split evenly: both sides carry the root of the singular values.
    CHECK(factors.at("layers.1.down_proj.lora_A.weight").norm().item<double>() ==
          Approx(factors.at("layers.1.down_proj.lora_B.weight").norm().item<double>()).epsilon(1e-5));
    const at::Tensor expected = clean->forward(some_ids().to(device)).detach();
    // Float32 sums split in two: the promise is 1e-6 of the logits' scale.
    CHECK(largest_difference(net->forward(some_ids().to(device)), expected) <= 1e-6 * scale_of(expected));
    CHECK(largest_difference(base_of(net->head->weight), clean->head->weight) > 1e-2);
  });
}

TEST_CASE("pissa: what is saved is a plain LoRA for the original base", "[adapters][init]") {
  TemporaryDirectory directory;
  const std::vector<LoraOptions> variants = {
      pissa(),
      pissa().rank_stabilized(true),
      pissa().dtype(at::kBFloat16),
      pissa().keep_base(false),
      pissa().rank_stabilized(true).overrides({{"layers.0.up_proj", 3, 5.0}, {"head", 1, std::nullopt}}),
      pissa().targets({"embed", "head"})};
  for (size_t i = 0; i < variants.size(); ++i) {
    CAPTURE(i);
    Net net = make_net(), clean = make_net();
    auto adapters = attach(*net, variants[i]);
    train_a_little(adapters);
    const at::Tensor trained = net->forward(some_ids()).detach();
    const auto folder = directory.path() / std::to_string(i);
    adapters.save(folder);
    auto loaded = load_adapter(*clean, folder);
    CHECK(loaded.config().r == 4);
    CHECK(loaded.config().init_lora_weights);
    CHECK(loaded.config().init_name.empty());
    const at::Tensor found = clean->forward(some_ids()).detach();
    // bf16 masters: the toy's products are float32 all the same. 1e-5: the base's part is summed in another order.
    CHECK(largest_difference(found, trained) <= 1e-5 * scale_of(trained));
    CHECK(largest_difference(found, make_net()->forward(some_ids())) > 1e-2);

    // Back into the live adapter, bit for bit; and the base again, bit for bit, from the file's start.
    const auto before = values(adapters);
    std::map<std::string, at::Tensor> kept;
    for (const auto& [name, tensor] : before) kept[name] = tensor.detach().clone();
    train_a_little(adapters);
    adapters.load(folder);
    for (const auto& [name, tensor] : values(adapters)) CHECK(at::equal(tensor, kept.at(name)));
    Net again = make_net();
    AdapterStart start;
    start.saved = folder;
    auto resumed = attach(*again, variants[i], start);
    resumed.load(folder);
    CHECK(at::equal(again->forward(some_ids()), trained));
  }
}

TEST_CASE("pissa: another base's start is not loaded", "[adapters][init]") {
  TemporaryDirectory directory;
  Net net = make_net(1), other = make_net(2);
  attach(*net, pissa()).save(directory.path() / "a");
  auto adapters = attach(*other, pissa());
  CHECK_THROWS_WITH(adapters.load(directory.path() / "a"), Contains("another start"));
}

TEST_CASE("pissa: detach gives the kept weights back bit for bit, and is refused where none were kept", "[adapters][init]") {
  Net net = make_net();
  const auto before = snapshot(*net);
  const at::Tensor parameter = net->head->weight, expected = net->forward(some_ids()).detach();
  auto adapters = attach(*net, pissa());
  train_a_little(adapters);
  deactivate(*net);
  // The start counts again where the adapter does not: W up to one rounding of the difference.
  CHECK(largest_difference(net->forward(some_ids()), expected) <= 1e-6 * scale_of(expected));
  adapters.detach();
  CHECK(net->head->weight.is_same(parameter));
  CHECK(same_bits(*net, before));
  CHECK(at::equal(net->forward(some_ids()), expected));

  auto frugal = attach(*net, pissa().keep_base(false));
  const at::Tensor outputs = net->forward(some_ids()).detach();
  CHECK_THROWS_WITH(frugal.detach(), Contains("not kept") && Contains("keep_base"));
  CHECK(at::equal(net->forward(some_ids()), outputs));
  CHECK(active(*net) == std::vector<std::string>{"default"});
  deactivate(*net);
  CHECK(largest_difference(net->forward(some_ids()), expected) <= 1e-6 * scale_of(expected));
}

TEST_CASE("pissa: other adapters on the same base see the base, and shares of it count as what it learned", "[adapters][init]") {
  TemporaryDirectory directory;
  Net net = make_net(), reference = make_net();
  auto plain = attach(*net, LoraOptions(2).alpha(4).targets({"up_proj", "head"}).name("plain"));
  randomize(plain);
  auto principal = attach(*net, pissa().name("principal"));
  train_a_little(principal);
  auto copy = attach(*net, LoraOptions(2).targets({"up_proj"}).modules_to_save({"head"}).name("copy"));
  randomize(copy);
  for (const auto* adapters : {&plain, &principal, &copy}) {
    adapters->save(directory.path() / adapters->name());
    load_adapter(*reference, directory.path() / adapters->name(), adapters->name());
  }
  using Weighted = std::vector<std::pair<std::string, double>>;
  for (const Weighted& which :
       {Weighted{{"plain", 1}}, Weighted{{"principal", 1}}, Weighted{{"plain", 1}, {"principal", 1}},
        Weighted{{"plain", 0.5}, {"principal", 0.25}}, Weighted{{"copy", 1}, {"principal", 0.5}}, Weighted{{"copy", 1}}}) {
    activate(*net, which);
    activate(*reference, which);
    const at::Tensor expected = reference->forward(some_ids()).detach();
    CHECK(largest_difference(net->forward(some_ids()), expected) <= 1e-5 * scale_of(expected));
    CHECK(largest_difference(dense_weight(net->head->weight), dense_weight(reference->head->weight)) < 1e-5);
  }
  CHECK_THROWS_WITH(attach(*net, pissa().name("second")), Contains("principal") && Contains("already"));
  activate(*net, {"plain", "principal"});
  const at::Tensor expected = net->forward(some_ids()).detach();
  CHECK_THROWS_WITH(plain.merge(), Contains("principal"));
  principal.merge();  // the base is whole again, with what it learned
  CHECK(largest_difference(net->forward(some_ids()), expected) <= 1e-5 * scale_of(expected));
  plain.merge();
  CHECK(largest_difference(net->forward(some_ids()), expected) <= 1e-5 * scale_of(expected));
}

TEST_CASE("pissa: a base that was not kept merges as well, and a tied embedding keeps the original", "[adapters][init]") {
  Net net = make_net();
  auto adapters = attach(*net, pissa().keep_base(false));
  train_a_little(adapters);
  const at::Tensor expected = net->forward(some_ids()).detach();
  adapters.merge();
  CHECK(largest_difference(net->forward(some_ids()), expected) <= 1e-5 * scale_of(expected));
  CHECK(adapter_names(*net).empty());

  Tied tied;
  const at::Tensor ids = torch::arange(9).view({1, 9}), before = tied->forward(ids).detach(), table = tied->embed->weight.detach().clone();
  attach(*tied, LoraOptions(2).init("pissa").targets({"head"}).keep_base(false));
  CHECK(at::equal(tied->embed->weight, table));
  CHECK(largest_difference(tied->forward(ids), before) <= 1e-6 * scale_of(before));
}

TEST_CASE("pissa: the model moves and casts with what was kept", "[adapters][init]") {
  for_each_device([](at::Device device) {
    Net net = make_net(), clean = make_net();
    auto adapters = attach(*net, pissa());
    net->to(device);
    clean->to(device);
    deactivate(*net);
    const at::Tensor expected = clean->forward(some_ids().to(device)).detach();
    CHECK(largest_difference(net->forward(some_ids().to(device)), expected) <= 1e-6 * scale_of(expected));
    net->to(at::kBFloat16);
    clean->to(at::kBFloat16);
    adapters.detach();
    CHECK(at::equal(net->head->weight, clean->head->weight));
    CHECK(at::equal(net->forward(some_ids().to(device)), clean->forward(some_ids().to(device))));
  });
}

TEST_CASE("on a 4-bit base both starts lose less than plain quantization", "[adapters][init][quant]") {
  for (const FourBitLinears& how :
       {FourBitLinears(Nf4Options()), Nf4Options().double_quant(true).block(128), FourBitLinears(Fp4Options())}) {
    const at::Tensor truth = weight_in(one_linear()).detach();
    const auto options = LoraOptions(8).alpha(24).targets({"0"});
    AdapterStart start;
    start.unquantized = [&](const std::string& module) {
      CHECK(module == "0");
      return truth;
    };
    auto plain = one_linear(), principal = one_linear(), after = one_linear(), loftq = one_linear();
    quantize(*plain, how), quantize(*principal, how), quantize(*loftq, how);
    auto first = attach(*principal, LoraOptions(options).init("pissa"), start);
    attach(*after, LoraOptions(options).init("pissa"));
    quantize(*after, how);
    auto second = attach(*loftq, LoraOptions(options).init("loftq"), start);
    const double lost = error_of(weight_in(plain), truth);
    CHECK(error_of(weight_in(principal), truth) < 0.9 * lost);  // four strong directions are in the adapter, not in the 4 bits
    CHECK(error_of(weight_in(loftq), truth) < 0.95 * lost);     // 8 of 48 directions of what was lost, near noise
    CHECK(at::equal(dense_weight(weight_in(principal)), dense_weight(weight_in(after))));
    // LoftQ: exactly the best approximation of what was lost; the base is what everybody's quantization gives.
    CHECK(at::equal(base_of(weight_in(loftq)), base_of(weight_in(plain))));
    const auto values = std::get<1>(at::linalg_svd(truth - base_of(weight_in(plain)), false));
    CHECK(error_of(weight_in(loftq), truth) == Approx(values.slice(0, 8).norm().item<double>()).epsilon(1e-4));
    CHECK_THROWS_WITH(first.detach(), Contains("not kept"));
    second.detach();
    CHECK(at::equal(dense_weight(weight_in(loftq)), base_of(weight_in(plain))));
  }
}

TEST_CASE("what cannot start from weights is refused by module, and the model left as it was", "[adapters][init]") {
  Net net = make_net();
  const auto before = snapshot(*net);
  CHECK_THROWS_WITH(attach(*net, pissa().rank(9)), Contains("layers.0.up_proj") && Contains("rank 9"));
  CHECK_THROWS_WITH(attach(*net, pissa().alpha(0)), Contains("alpha"));
  CHECK_THROWS_WITH(attach(*net, pissa().init("loftq")), Contains("4 bits") && Contains("pissa"));
  CHECK_THROWS_WITH(attach(*net, pissa().init("pisa")), Contains("pissa"));
  Net broken = make_net();
  {
    const torch::NoGradGuard no_graph;
    broken->head->weight[1][2] = std::numeric_limits<float>::quiet_NaN();
  }
  const auto values_before = snapshot(*broken);
  CHECK_THROWS_WITH(attach(*broken, pissa()), Contains("head.weight") && Contains("not finite"));
  CHECK(at::equal(broken->blocks[0]->as<BlockImpl>()->up_proj->weight, values_before.at("layers.0.up_proj.weight")));
  CHECK(adapter_names(*broken).empty());
  CHECK(same_bits(*net, before));
  quantize(*net);
  for (const char* init : {"pissa", "loftq"}) CHECK_THROWS_WITH(attach(*net, pissa().init(init)), Contains("AdapterStart"));
}

TEST_CASE("the randomised decomposition of a large matrix is nearly as good as the full one, and the same again", "[adapters][init]") {
  const at::Tensor matrix = low_rank_and_noise(1040, 1030, 12);
  const auto found = graft::detail::nearest_low_rank(matrix, 16, 1, "w"), again = graft::detail::nearest_low_rank(matrix, 16, 1, "w");
  CHECK(at::equal(found.a, again.a));
  CHECK(at::equal(found.b, again.b));
  const auto values = std::get<1>(at::linalg_svd(matrix, false));
  // Twelve directions stand out, the other four lie in a flat spectrum of noise, where any of many directions is nearly as good.
  CHECK((matrix - found.b.mm(found.a)).norm().item<double>() <= 1.0005 * values.slice(0, 16).norm().item<double>());
  CHECK((found.a.mm(found.a.t()).diagonal().slice(0, 0, 12) / values.slice(0, 0, 12) - 1).abs().max().item<double>() < 1e-4);
}
