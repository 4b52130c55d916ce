#include "recipe/recipe_support.h"

using graft::recipe::identity_hash;
using graft::recipe::resolved_yaml;

namespace {

graft::recipe::Recipe again(const graft::recipe::Recipe& recipe) {
  return graft::recipe::parse_recipe(resolved_yaml(recipe), "other/recipe.resolved.yaml");
}

const std::vector<std::vector<std::string>>& variants() {
  static const std::vector<std::vector<std::string>> list = {
      {},
      {"seed=7", "name=a: b #\"c\"", "output_dir=no"},
      {"data.train_on={roles: [user]}", "memory.checkpointing={every: 3}", "data.eval={split: 0.013}"},
      {"data.eval=[{path: e.jsonl, format: tokens, limit: 3}]", "data.train=[{path: \"a b\", weight: 0.1}, {path: c, format: alpaca}]"},
      {"~train.steps", "train.tokens=50M", "batch.tokens_per_step=65536", "train.clip_grad_norm=null", "train.optimizer.lr=3e-4"},
      {"adapter.target=[q_proj, \"*.mlp.*\", \"regex:a\\\\.b\"]", "adapter.layers=[0, 3]", "adapter.alpha=0.1",
       "adapter.overrides=[{match: x, rank: 3}, {match: y, alpha: 2}]"},
      {"adapter.type=full"},
      {"adapter.init_from=some/adapter"},
      {"task=pretrain", "model.init=random", "memory.budget=1GiB", "memory.loss_chunk=100", "runtime.threads=3",
       "train.schedule.min_lr=1e-7", "eval.every=1 epoch"},
      {"quant.type=none", "data.template=file:t.jinja", "data.template_date=2024-01-02",
       "export=[{format: peft, check: [vllm, llama.cpp]}]"},
  };
  return list;
}

}  // namespace

TEST_CASE("the resolved recipe reads back to the same recipe, hash and given keys", "[recipe]") {
  for (const auto& overrides : variants()) {
    const auto recipe = parse(kSmallest, overrides);
    INFO(resolved_yaml(recipe));
    const auto copy = again(recipe);
    REQUIRE(copy == recipe);
    REQUIRE(identity_hash(copy) == identity_hash(recipe));
    for (const char* key : {"adapter.rank", "adapter.target", "data.template_date", "train.steps", "quant.type", "seed", "data.eval"})
      REQUIRE(copy.was_given(key) == recipe.was_given(key));
    REQUIRE(resolved_yaml(copy) == resolved_yaml(recipe));
  }
}

TEST_CASE("every variant has its own identity", "[recipe]") {
  std::vector<std::string> hashes;
  for (const auto& overrides : variants()) {
    hashes.push_back(identity_hash(parse(kSmallest, overrides)));
    REQUIRE(hashes.back().size() == 64);
  }
  // All but the last, which has quant.type: none written out, differ from the first by at least one key that counts.
  for (size_t i = 1; i < hashes.size(); ++i) REQUIRE(hashes[i] != hashes[0]);
}

TEST_CASE("what cannot change the result is outside the identity", "[recipe]") {
  const std::string hash = identity_hash(parse(kSmallest));
  for (const char* text : {"output_dir=b", "log.every=1", "log.to=[jsonl]", "log.progress=none", "runtime.device=cpu", "runtime.ranks=1",
                           "checkpoint.every=3", "checkpoint.keep=9", "checkpoint.resume=none", "checkpoint.test_first=false", "name=x",
                           "data.workers=1", "data.cache=none", "quant.cache=none"}) {
    INFO(text);
    if (std::string(text).rfind("quant", 0) == 0) continue;  // needs quant.type beside it
    REQUIRE(identity_hash(parse(kSmallest, {text})) == hash);
  }
  for (const char* text : {"seed=1", "model.path=x", "model.dtype=fp32", "adapter.rank=8", "data.train.0.limit=5", "data.shuffle=false",
                           "batch.sequences_per_step=4", "train.steps=6", "train.optimizer.lr=1e-3", "memory.checkpointing=none",
                           "runtime.deterministic=true", "eval.every=3", "data.template_date=2024-01-01"}) {
    INFO(text);
    REQUIRE(identity_hash(parse(kSmallest, {text})) != hash);
  }
}

TEST_CASE("the spelling of a value does not change the identity", "[recipe]") {
  REQUIRE(identity_hash(parse(kSmallest, {"train.optimizer.lr=2e-4"})) == identity_hash(parse(kSmallest)));
  REQUIRE(identity_hash(parse(kSmallest, {"train.optimizer.lr=0.00020"})) == identity_hash(parse(kSmallest)));
  REQUIRE(identity_hash(parse(kSmallest, {"model.dtype=bfloat16"})) == identity_hash(parse(kSmallest)));
  REQUIRE(identity_hash(parse(kSmallest, {"adapter.target=[all-linear]"})) == identity_hash(parse(kSmallest)));
  REQUIRE(identity_hash(parse(kSmallest, {"train.schedule.warmup=200 steps", "train.steps=300"})) ==
          identity_hash(parse(kSmallest, {"train.schedule.warmup=200", "train.steps=300"})));
}

TEST_CASE("what the app fills in on the first start does not change the identity", "[recipe]") {
  auto recipe = parse(kSmallest, {"adapter.init_from=some/adapter"});
  const std::string hash = identity_hash(recipe);
  recipe.data.template_date = "2026-11-24";
  recipe.adapter.rank = 64;
  recipe.adapter.target = {"q_proj"};
  REQUIRE(identity_hash(recipe) == hash);
  const auto copy = again(recipe);
  REQUIRE(copy.data.template_date == "2026-11-24");
  REQUIRE(copy.adapter.rank == 64);
  REQUIRE_FALSE(copy.was_given("adapter.rank"));
  REQUIRE(identity_hash(copy) == hash);
}

TEST_CASE("a resolved recipe edited by hand counts its new values as given", "[recipe]") {
  const auto edited = graft::recipe::parse_recipe(replaced(resolved_yaml(parse(kSmallest)), "rank: 16", "rank: 8"), "edited.yaml");
  REQUIRE(edited.was_given("adapter.rank"));
  REQUIRE_FALSE(edited.was_given("adapter.alpha"));
  REQUIRE(identity_hash(edited) == identity_hash(parse(kSmallest, {"adapter.rank=8"})));
}

TEST_CASE("differing keys are named", "[recipe]") {
  REQUIRE(differing_keys(parse(kSmallest), parse(kSmallest, {"seed=1", "adapter.rank=8", "output_dir=x"})) ==
          std::vector<std::string>{"seed", "adapter.rank"});
}
