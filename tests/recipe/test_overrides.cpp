#include "recipe/recipe_support.h"

TEST_CASE("an override equals the same line in the file", "[recipe]") {
  const std::vector<std::pair<std::string, std::string>> pairs = {
      {"seed=7", "seed: 7\n"},
      {"adapter.rank=8", "adapter: {rank: 8}\n"},
      {"adapter.target=[q_proj, v_proj]", "adapter:\n  target:\n    - q_proj\n    - v_proj\n"},
      {"name=hello world", "name: hello world\n"},
      {"memory.budget=22GiB", "memory: {budget: 22GiB}\n"},
      {"data.eval={split: 0.25}", ""},
      {"export=[{format: peft, check: [vllm]}]", "export:\n- format: peft\n  check: [vllm]\n"},
  };
  for (const auto& [override_text, line] : pairs) {
    if (line.empty()) continue;
    INFO(override_text);
    REQUIRE(parse(kSmallest, {override_text}) == parse(kSmallest + line));
    REQUIRE(identity_hash(parse(kSmallest, {override_text})) == identity_hash(parse(kSmallest + line)));
  }
}

TEST_CASE("list entries are reached by index", "[recipe]") {
  REQUIRE(parse(kSmallest, {"data.train.0.limit=10"}).data.train.at(0).limit == 10);
  REQUIRE_THAT(error_of(kSmallest, {"data.train.1.limit=10"}), Contains("data.train has 1 entries"));
  REQUIRE_THAT(error_of(kSmallest, {"data.train.99999999999999999999.limit=10"}), Contains("data.train has 1 entries"));
  REQUIRE_THAT(error_of(kSmallest, {"data.train.0.limt=10"}), Contains("did you mean: data.train.0.limit"));
  REQUIRE_THAT(error_of(kSmallest, {"adapter.0.rank=10"}), Contains("unknown key"));
}

TEST_CASE("~key goes back to the default", "[recipe]") {
  REQUIRE(parse(kSmallest + "adapter: {rank: 4}\n", {"~adapter.rank"}).adapter.rank == 16);
  REQUIRE(parse(kSmallest + "adapter: {rank: 4}\n", {"~adapter"}).adapter.rank == 16);
  REQUIRE_FALSE(parse(kSmallest + "adapter: {rank: 4}\n", {"~adapter.rank"}).was_given("adapter.rank"));
  REQUIRE_NOTHROW(parse(kSmallest, {"~adapter.rank"}));
  REQUIRE_THAT(error_of(kSmallest, {"~model.path"}), Contains("required key model.path is missing"));
  REQUIRE_THAT(error_of(kSmallest, {"~adapter.rnk"}), Contains("did you mean: adapter.rank"));
  REQUIRE_THAT(error_of(kSmallest, {"~adapter.rank=3"}), Contains("takes no value"));
  REQUIRE_THAT(error_of(kSmallest, {"~data.train.0"}), Contains("no default"));
}

TEST_CASE("an unknown key, no key and no value are named", "[recipe]") {
  REQUIRE_THAT(error_of(kSmallest, {"adapter.rnk=2"}),
               Contains("command line: adapter.rnk=2: unknown key") && Contains("did you mean: adapter.rank"));
  REQUIRE_THAT(error_of(kSmallest, {"lr=2"}), Contains("did you mean: train.optimizer.lr"));
  REQUIRE_THAT(error_of(kSmallest, {"adapter.rank"}), Contains("not an override"));
  REQUIRE_THAT(error_of(kSmallest, {"=3"}), Contains("unknown key"));
  REQUIRE_THAT(error_of(kSmallest, {".=3"}), Contains("unknown key"));
  REQUIRE_THAT(error_of(kSmallest, {"adapter.rank.x=3"}), Contains("unknown key"));
  REQUIRE_THAT(error_of(kSmallest, {"train.steps=abc"}), Contains("command line: train.steps=abc: train.steps: \"abc\" is not an integer"));
  REQUIRE_THAT(error_of(kSmallest, {"seed="}), Contains("found nothing"));
  REQUIRE_THAT(error_of(kSmallest, {"adapter={rank: 1"}), Contains("command line"));
  REQUIRE_THAT(error_of(kSmallest, {"extends=base/lora-sft"}), Contains("cannot be overridden"));
}

TEST_CASE("a key overridden twice is an error, also through its section", "[recipe]") {
  REQUIRE_THAT(error_of(kSmallest, {"seed=1", "seed=1"}), Contains("overridden twice"));
  REQUIRE_THAT(error_of(kSmallest, {"seed=1", "~seed"}), Contains("overridden twice"));
  REQUIRE_THAT(error_of(kSmallest, {"adapter={rank: 1}", "adapter.rank=2"}), Contains("overridden twice"));
  REQUIRE_NOTHROW(parse(kSmallest, {"adapter.rank=1", "adapter.alpha=2"}));
}

TEST_CASE("a glob needs no quotes on the command line", "[recipe]") {
  REQUIRE(parse(kSmallest, {"adapter.target=*.mlp.*"}).adapter.target == std::vector<std::string>{"*.mlp.*"});
  REQUIRE(parse(kSmallest, {"output_dir=/tmp/a: b #c"}).output_dir == "/tmp/a: b #c");
}

TEST_CASE("--device and --dtype win over file and overrides", "[recipe]") {
  const auto recipe =
      graft::recipe::parse_recipe(kSmallest + "runtime: {device: cuda}\n", "recipe.yaml", {"model.dtype=fp16"}, "cpu", "float32");
  REQUIRE(recipe.runtime.device == "cpu");
  REQUIRE(recipe.model.dtype == "fp32");
  REQUIRE(recipe.place_of("model.dtype") == "command line: --dtype float32");
}

TEST_CASE("an override replaces another form of the same key", "[recipe]") {
  REQUIRE(parse(kSmallest + "memory: {checkpointing: full}\n", {"memory.checkpointing.every=3"}).memory.checkpointing_every == 3);
  REQUIRE(parse(kSmallest + "memory: {checkpointing: {every: 3}}\n", {"memory.checkpointing=none"}).memory.checkpointing == "none");
}
