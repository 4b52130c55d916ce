// PEFT's files, written and read without PEFT; tests/parity/test_adapters.py compares with PEFT itself.
#include <fstream>
#include <set>

#include "adapters/toy_models.h"
#include "graft/base/files.h"
#include "graft/io/tensor_file.h"
#include "support/catch.h"
#include "support/temporary_directory.h"

using namespace graft;
using namespace graft::test;

namespace {

LoraOptions everything() {
  return LoraOptions(4)
      .alpha(6)
      .targets({"embed", "up_proj", "down_proj"})
      .bias("all")
      .modules_to_save({"head", "layers.1.norm"})
      .overrides({{"layers.0.up_proj", 2, 5.0}})
      .rank_stabilized(true);
}

void rewrite(const fs::path& directory, const std::function<void(std::map<std::string, at::Tensor>*)>& change) {
  auto tensors = io::load_tensors(directory / "adapter_model.safetensors");
  change(&tensors);
  io::save_tensors(directory / "adapter_model.safetensors", {tensors.begin(), tensors.end()});
}

std::string load_error(const fs::path& directory) {
  auto net = make_net();
  const auto before = snapshot(*net);
  try {
    load_adapter(*net, directory);
  } catch (const Error& error) {
    REQUIRE(same_bits(*net, before));
    return error.what();
  }
  return "nothing was thrown";
}

/// Biases under other names than "bias", and a module with the word in its name.
struct Mixed : torch::nn::Module {
  Mixed() {
    register_module("attention", attention);
    register_module("lstm", lstm);
    register_module("bias_net", bias_net);
    register_module("out", out);
  }
  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor mixed = std::get<0>(attention->forward(x, x, x));
    return out(std::get<0>(lstm->forward(mixed)) + bias_net(x));
  }
  torch::nn::MultiheadAttention attention{torch::nn::MultiheadAttentionOptions(8, 2).add_bias_kv(true)};
  torch::nn::LSTM lstm{8, 8};
  torch::nn::Linear bias_net{torch::nn::LinearOptions(8, 8).bias(false)};
  torch::nn::Linear out{8, 4};
};

}  // namespace

TEST_CASE("save and load_adapter give the same logits, for every option together", "[adapters]") {
  TemporaryDirectory directory;
  const auto ids = some_ids();
  auto net = make_net();
  auto adapters = attach(*net, everything());
  randomize(adapters);
  const auto expected = net->forward(ids).detach();
  adapters.save(directory.path() / "adapter");
  adapters.save(directory.path() / "adapter");  // replaces itself

  auto other = make_net();
  auto loaded = load_adapter(*other, directory.path() / "adapter", "mine");
  REQUIRE(at::equal(other->forward(ids), expected));
  REQUIRE(active(*other) == std::vector<std::string>{"mine"});
  REQUIRE_THROWS_WITH(loaded.parameters(), Contains("loaded frozen"));
  REQUIRE_FALSE(other->forward(ids).requires_grad());
  loaded.detach();
  auto trainable = load_adapter(*other, directory.path() / "adapter", "mine", /*trainable=*/true);
  REQUIRE(other->forward(ids).requires_grad());
  REQUIRE(trainable.parameters().size() == adapters.parameters().size());

  // Files are the same bytes when what was loaded is saved again.
  trainable.save(directory.path() / "again");
  for (const char* file : {"adapter_config.json", "adapter_model.safetensors", "README.md"})
    REQUIRE(read_file(directory.path() / "adapter" / file) == read_file(directory.path() / "again" / file));
}

TEST_CASE("load replaces the values of an attached adapter", "[adapters]") {
  TemporaryDirectory directory;
  auto net = make_net();
  auto adapters = attach(*net, everything());
  randomize(adapters);
  const auto expected = net->forward(some_ids()).detach();
  adapters.save(directory.path() / "adapter");
  randomize(adapters, 77);
  const auto identity = adapters.parameters()[0];
  REQUIRE_FALSE(at::equal(net->forward(some_ids()), expected));
  adapters.load(directory.path() / "adapter");
  REQUIRE(at::equal(net->forward(some_ids()), expected));
  REQUIRE(adapters.parameters()[0].is_same(identity));  // the optimizer's tensors

  auto other = make_net();
  auto scaled = attach(*other, everything().alpha(12));
  REQUIRE_THROWS_WITH(scaled.load(directory.path() / "adapter"), Contains("scale"));
  auto third = make_net();
  auto narrow = attach(*third, LoraOptions(2));
  REQUIRE_THROWS_WITH(narrow.load(directory.path() / "adapter"), Contains("missing") && Contains("unexpected"));
}

TEST_CASE("keys are PEFT's", "[adapters]") {
  auto net = make_net();
  auto adapters = attach(*net, everything());
  std::vector<std::string> keys;
  for (const auto& [name, tensor] : adapters.named_parameters()) keys.push_back(name);
  const std::string p = "base_model.model.";
  REQUIRE(keys == std::vector<std::string>{
                      p + "embed.lora_embedding_A", p + "embed.lora_embedding_B", p + "layers.0.up_proj.lora_A.weight",
                      p + "layers.0.up_proj.lora_B.weight", p + "layers.0.down_proj.lora_A.weight", p + "layers.0.down_proj.lora_B.weight",
                      p + "layers.1.up_proj.lora_A.weight", p + "layers.1.up_proj.lora_B.weight", p + "layers.1.down_proj.lora_A.weight",
                      p + "layers.1.down_proj.lora_B.weight", p + "layers.1.norm.weight", p + "layers.1.norm.bias", p + "head.weight",
                      p + "head.bias", p + "layers.0.norm.bias", p + "layers.0.down_proj.base_layer.bias",
                      p + "layers.1.down_proj.base_layer.bias", p + "tail.0.bias"});
}

TEST_CASE("bias all is every parameter with bias in its name, under PEFT's names", "[adapters]") {
  torch::manual_seed(1);
  const auto model = std::make_shared<Mixed>(), other = std::make_shared<Mixed>();
  const auto x = torch::randn({5, 3, 8});
  const auto base = snapshot(*model);
  for (auto& parameter : other->named_parameters()) {
    torch::NoGradGuard no_graph;
    parameter.value().copy_(base.at(parameter.key()));
  }
  const auto bare = model->forward(x).detach();
  auto adapters = attach(*model, LoraOptions(2).targets({"out"}).bias("all"));
  std::set<std::string> copies;
  for (const auto& [name, tensor] : values(adapters))
    if (name.find("lora_") == std::string::npos) copies.insert(name);
  REQUIRE(copies == std::set<std::string>{"attention.bias_k", "attention.bias_v", "attention.in_proj_bias", "attention.out_proj.bias",
                                          "bias_net.weight", "lstm.bias_hh_l0", "lstm.bias_ih_l0", "out.base_layer.bias"});
  REQUIRE(at::equal(model->forward(x), bare));
  randomize(adapters);
  const auto trained = model->forward(x);
  trained.square().mean().backward();
  for (const auto& parameter : adapters.parameters()) REQUIRE(parameter.grad().defined());
  const TemporaryDirectory directory;
  adapters.save(directory / "adapter");
  load_adapter(*other, directory / "adapter");
  REQUIRE(largest_difference(other->forward(x).detach(), trained.detach()) < kFloatTolerance);
  adapters.detach();
  REQUIRE(same_bits(*model, base));
}

TEST_CASE("bfloat16 and float16 files are read into float32 masters, and a sub-folder by its name", "[adapters]") {
  TemporaryDirectory directory;
  auto net = make_net();
  auto adapters = attach(*net, LoraOptions(2));
  randomize(adapters);
  adapters.save(directory.path() / "out" / "customer-a");
  for (const auto dtype : {at::kBFloat16, at::kHalf}) {
    rewrite(directory.path() / "out" / "customer-a", [&](auto* tensors) {
      for (auto& [name, tensor] : *tensors) tensor = tensor.to(dtype);
    });
    auto other = make_net();
    auto loaded = load_adapter(*other, directory.path() / "out", "customer-a");
    REQUIRE(loaded.named_parameters()[0].second.scalar_type() == at::kFloat);
    REQUIRE(largest_difference(other->forward(some_ids()), net->forward(some_ids())) < 0.05);  // 8 bits of values of size one
  }
  CHECK_THAT(load_error(directory.path() / "out"), Contains("customer-a"));
}

TEST_CASE("files that do not fit are refused by the tensors' names, and the model stays as it was", "[adapters]") {
  TemporaryDirectory directory;
  auto net = make_net();
  auto adapters = attach(*net, LoraOptions(2));
  const auto folder = directory.path() / "adapter";
  const std::string key = "base_model.model.head.lora_A.weight";
  const auto broken = [&](const std::function<void(std::map<std::string, at::Tensor>*)>& change) {
    adapters.save(folder);
    rewrite(folder, change);
    return load_error(folder);
  };
  CHECK_THAT(broken([&](auto* t) { t->erase(key); }), Contains("missing") && Contains(key));
  CHECK_THAT(broken([&](auto* t) {
               (*t)["base_model.model.other.lora_A.weight"] = torch::ones({2, 2});
             }),
             Contains("unexpected") && Contains("other"));
  CHECK_THAT(broken([&](auto* t) { (*t)[key] = torch::ones({2, 9}); }), Contains("[2, 9], expected [2, 8]"));
  CHECK_THAT(broken([&](auto* t) { (*t)[key][0][0] = std::nan(""); }), Contains("not finite") && Contains(key));
  CHECK_THAT(broken([&](auto* t) { (*t)["base_model.model.head.lora_magnitude_vector"] = torch::ones({11}); }),
             Contains("lora_magnitude_vector"));
  adapters.save(folder);
  fs::remove(folder / "adapter_model.safetensors");
  CHECK_THAT(load_error(folder), Contains("no adapter_model.safetensors"));
  std::ofstream(folder / "adapter_model.bin") << "pickle";
  CHECK_THAT(load_error(folder), Contains("pickle"));
  CHECK_THAT(load_error(directory.path() / "nowhere"), Contains("does not exist"));
}

TEST_CASE("an embedding that PEFT saved beside the adapter: equal is ignored, changed is used", "[adapters]") {
  TemporaryDirectory directory;
  auto net = make_net();
  const at::Tensor table = net->embed->weight.detach().clone();
  auto adapters = attach(*net, LoraOptions(2).targets({"embed", "head"}));
  randomize(adapters);
  const auto expected = net->forward(some_ids()).detach();
  adapters.save(directory.path() / "adapter");
  const std::string key = "base_model.model.embed.base_layer.weight";
  rewrite(directory.path() / "adapter", [&](auto* tensors) { (*tensors)[key] = table; });
  auto same = make_net();
  auto loaded = load_adapter(*same, directory.path() / "adapter");
  REQUIRE(at::equal(same->forward(some_ids()), expected));
  REQUIRE(loaded.named_parameters().size() == 4);

  rewrite(directory.path() / "adapter", [&](auto* tensors) { (*tensors)[key] = table + 1; });
  auto changed = make_net();
  auto with_table = load_adapter(*changed, directory.path() / "adapter");
  const auto f = values(with_table);
  const at::Tensor rows = table + 1 + 2 * f.at("embed.lora_embedding_B").matmul(f.at("embed.lora_embedding_A")).t();
  REQUIRE(largest_difference(changed->embed(some_ids()), rows.index({some_ids()})) < 10 * kFloatTolerance);
  deactivate(*changed);
  REQUIRE(at::equal(changed->embed(some_ids()), table.index({some_ids()})));

  rewrite(directory.path() / "adapter", [&](auto* tensors) { (*tensors)[key] = torch::ones({13, 8}); });
  CHECK_THAT(load_error(directory.path() / "adapter"), Contains("vocabulary size"));
}

TEST_CASE("save does not replace a directory that holds something else", "[adapters]") {
  TemporaryDirectory directory;
  std::ofstream(directory.path() / "thesis.tex") << "years of work";
  auto net = make_net();
  auto adapters = attach(*net, LoraOptions(2));
  REQUIRE_THROWS_WITH(adapters.save(directory.path()), Contains("thesis.tex"));
  REQUIRE(fs::exists(directory.path() / "thesis.tex"));
}
