// Which modules each kind of target means.
#include <set>

#include "adapters/toy_models.h"
#include "support/catch.h"

using namespace graft;
using namespace graft::test;

namespace {

std::set<std::string> adapted(const LoraOptions& options) {
  auto net = make_net();
  auto adapters = attach(*net, options);
  std::set<std::string> out;
  for (const auto& [name, tensor] : values(adapters))
    if (const auto end = name.find(".lora_"); end != std::string::npos) out.insert(name.substr(0, end));
  return out;
}

const std::set<std::string> kUp = {"layers.0.up_proj", "layers.1.up_proj"};
const std::set<std::string> kAllLinear = {
    "layers.0.up_proj", "layers.0.down_proj", "layers.1.up_proj", "layers.1.down_proj", "tail.0", "head"};

}  // namespace

TEST_CASE("targets: all-linear, mlp, leaf names, full names, globs, regular expressions, embeddings", "[adapters]") {
  CHECK(adapted(LoraOptions(2)) == kAllLinear);
  CHECK(adapted(LoraOptions(2).targets("all-linear")) == kAllLinear);
  CHECK(adapted(LoraOptions(2).targets("mlp")) ==
        std::set<std::string>{"layers.0.up_proj", "layers.0.down_proj", "layers.1.up_proj", "layers.1.down_proj"});
  CHECK(adapted(LoraOptions(2).targets("up_proj")) == kUp);
  CHECK(adapted(LoraOptions(2).targets("layers.1.up_proj")) == std::set<std::string>{"layers.1.up_proj"});
  CHECK(adapted(LoraOptions(2).targets("*.up_*")) == kUp);
  CHECK(adapted(LoraOptions(2).targets("regex:layers\\.[0-9]\\.up_proj")) == kUp);
  CHECK(adapted(LoraOptions(2).targets({"embed", "head"})) == std::set<std::string>{"embed", "head"});
  CHECK(adapted(LoraOptions(2).targets("all-linear").exclude({"down_proj", "layers.0", "head"})) ==
        std::set<std::string>{"layers.1.up_proj", "tail.0"});
  CHECK(adapted(LoraOptions(2).targets("up_proj").layers({1})) == std::set<std::string>{"layers.1.up_proj"});
  CHECK(adapted(LoraOptions(2).modules_to_save("head")).count("head") == 0);
}

TEST_CASE("the configuration names leaves where they are exact, full names where they are not", "[adapters]") {
  const auto targets = [](const LoraOptions& options) {
    auto net = make_net();
    return std::get<std::vector<std::string>>(attach(*net, options).config().target_modules);
  };
  CHECK(targets(LoraOptions(2).targets("up_proj")) == std::vector<std::string>{"up_proj"});
  CHECK(targets(LoraOptions(2).targets("up_proj").layers({1})) == std::vector<std::string>{"layers.1.up_proj"});
  CHECK(targets(LoraOptions(2)) == std::vector<std::string>{"down_proj", "head", "tail.0", "up_proj"});  // "0" would also mean layers.0
}

TEST_CASE("the head of a model of the user's own belongs to all-linear unless the task says causal language model", "[adapters]") {
  struct OwnImpl : torch::nn::Module {
    OwnImpl() : body(register_module("body", torch::nn::Linear(3, 3))), lm_head(register_module("lm_head", torch::nn::Linear(3, 3))) {}
    torch::nn::Linear body, lm_head;
  };
  OwnImpl own, causal;  // on the stack: no shared_ptr needed
  CHECK(values(attach(own, LoraOptions(2))).count("lm_head.lora_A.weight") == 1);
  CHECK(values(attach(causal, LoraOptions(2).task_type("CAUSAL_LM"))).count("lm_head.lora_A.weight") == 0);
}
