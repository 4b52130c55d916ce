#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "graft/base/strings.h"
#include "graft/recipe/scalars.h"
#include "graft/recipe/schema.h"
#include "recipe/recipe_support.h"

using namespace graft::recipe;

namespace {

/// The error of giving one value to one key, whatever else the recipe holds.
std::string error_of_value(const Key& key, const std::string& value) {
  std::string path = key.path;
  const size_t element = path.find("[]");
  if (element == std::string::npos) return error_of(kSmallest, {path + "=" + value});
  const std::string list = path.substr(0, element);
  const std::string others = list == "data.train" && key.leaf() != "path"           ? "path: d.jsonl, "
                             : list == "adapter.overrides" && key.leaf() != "match" ? "match: q_proj, "
                                                                                    : "";
  return error_of(kSmallest, {list + "=[{" + others + key.leaf() + ": " + value + "}]"});
}

bool is_numeric(const Key& key) {
  return key.kind == Kind::kInteger || key.kind == Kind::kCount || key.kind == Kind::kBytes || key.kind == Kind::kNumber;
}

std::string number_text(const Key& key, double value) {
  return key.kind == Kind::kNumber ? format_number(value) : std::to_string(static_cast<int64_t>(value));
}

}  // namespace

TEST_CASE("an unknown key names its place and the nearest key of its section", "[recipe]") {
  REQUIRE_THAT(error_of(kSmallest + "adapter:\n  lora_rnk: 16\n"),
               Contains("recipe.yaml:9:3: unknown key \"lora_rnk\" in adapter") && Contains("did you mean: rank"));
  REQUIRE_THAT(error_of(kSmallest + "adpater: {rank: 1}\n"),
               Contains("recipe.yaml:8:1: unknown key \"adpater\" at the top level") && Contains("did you mean: adapter"));
  REQUIRE_THAT(error_of(replaced(kSmallest, "{path: d.jsonl}", "{path: d.jsonl, fromat: text}")),
               Contains("recipe.yaml:6:27") && Contains("in data.train.0") && Contains("format"));
  REQUIRE_THAT(error_of(kSmallest + "export:\n  - {formt: peft}\n"), Contains("recipe.yaml:9:6") && Contains("did you mean: format"));
}

TEST_CASE("a key in the wrong section, or under another trainer's name, points to the right one", "[recipe]") {
  REQUIRE_THAT(error_of(kSmallest + "rank: 8\n"), Contains("did you mean: adapter.rank"));
  REQUIRE_THAT(error_of(kSmallest + "learning_rate: 1e-4\n"), Contains("did you mean: train.optimizer.lr"));
  REQUIRE_THAT(error_of(kSmallest + "adapter: {lora_r: 8}\n"), Contains("did you mean: rank"));
  REQUIRE_THAT(error_of(kSmallest + "gradient_checkpointing: true\n"), Contains("did you mean: memory.checkpointing"));
}

TEST_CASE("all problems are reported at once, each with its place", "[recipe]") {
  const std::string text = error_of(kSmallest + "adapter:\n  rnk: 1\n  dropout: 1\nseed: x\nlog: 5\n");
  REQUIRE_THAT(text, Contains("4 problems"));
  for (const char* place : {"recipe.yaml:9:3:", "recipe.yaml:10:12:", "recipe.yaml:11:7:", "recipe.yaml:12:6:"})
    REQUIRE_THAT(text, Contains(place));
}

TEST_CASE("required keys are missed by name", "[recipe]") {
  REQUIRE_THAT(error_of(replaced(kSmallest, "schema: 1\n", "")), Contains("required key schema is missing"));
  REQUIRE_THAT(error_of(replaced(kSmallest, "output_dir: runs/a\n", "")), Contains("required key output_dir is missing"));
  REQUIRE_THAT(error_of(replaced(kSmallest, "  path: models/m", "  dtype: bf16")),
               Contains("recipe.yaml:4:3: required key model.path is missing"));
  REQUIRE_THAT(error_of(replaced(kSmallest, "  train: [{path: d.jsonl}]", "  shuffle: true")),
               Contains("required key data.train is missing"));
  REQUIRE_THAT(error_of(replaced(kSmallest, "{path: d.jsonl}", "{format: text}")),
               Contains("recipe.yaml:6:11: required key data.train.0.path is missing"));
  REQUIRE_THAT(error_of(kSmallest + "adapter: {overrides: [{rank: 1}]}\n"), Contains("required key adapter.overrides.0.match is missing"));
  REQUIRE_THAT(error_of(replaced(kSmallest, "[{path: d.jsonl}]", "[]")), Contains("recipe.yaml:6:10: data.train is an empty list"));
  REQUIRE_THAT(error_of(replaced(kSmallest, "schema: 1", "schema: 2")), Contains("recipe.yaml:1:9") && Contains("reads schema 1"));
}

TEST_CASE("an empty value is null only where the schema says nullable", "[recipe]") {
  REQUIRE_THAT(error_of(kSmallest + "seed:\n"), Contains("recipe.yaml:8:1: seed: expected integer") && Contains("found nothing"));
  REQUIRE_THAT(error_of(kSmallest + "adapter:\n"), Contains("recipe.yaml:8:1: adapter is an empty section"));
  REQUIRE_FALSE(parse(replaced(kSmallest, "{steps: 5}", "{steps: 5, clip_grad_norm: }")).train.clip_grad_norm.has_value());
  REQUIRE_NOTHROW(parse(replaced(kSmallest, "{steps: 5}", "{steps: 5, stop_when: }")));
  REQUIRE(parse(kSmallest + "memory: {budget: auto}\n").memory.budget == std::nullopt);
  for (const Key& key : schema_table()) {
    if (!key.has_field() || key.unset == "null" || key.form) continue;
    INFO(key.path);
    const std::string text = error_of_value(key, "null");
    REQUIRE_THAT(text, Contains(key.leaf()));
  }
}

TEST_CASE("every key refuses a section, and every key but text refuses nonsense", "[recipe]") {
  for (const Key& key : schema_table()) {
    if (!key.has_field() || key.form) continue;
    INFO(key.path);
    REQUIRE_THAT(error_of_value(key, "{zzz: 1}"), Contains(key.leaf()));
    const bool free_text = key.kind == Kind::kText || key.kind == Kind::kPath || (key.kind == Kind::kTextList && key.word_as_list);
    if (!free_text) REQUIRE_THAT(error_of_value(key, "zzz"), Contains(key.leaf()));
  }
}

TEST_CASE("every bound of every number is enforced on both sides", "[recipe]") {
  int bounds = 0;
  for (const Key& key : schema_table()) {
    if (!is_numeric(key) || !key.has_field() || key.form || key.path == "schema") continue;
    INFO(key.path);
    if (std::isfinite(key.least)) {
      REQUIRE_THAT(error_of_value(key, number_text(key, key.least_open ? key.least : key.least - 1)), Contains("out of range"));
      ++bounds;
    }
    if (std::isfinite(key.most)) {
      REQUIRE_THAT(error_of_value(key, number_text(key, key.most_open ? key.most : key.most * 2 + 1)), Contains("out of range"));
      ++bounds;
    }
  }
  REQUIRE(bounds > 30);
}

TEST_CASE("every enumeration takes its words, and suggests the nearest for a slip", "[recipe]") {
  for (const Key& key : schema_table()) {
    if (key.kind != Kind::kChoice || key.path.find("[]") != std::string::npos) continue;
    INFO(key.path);
    REQUIRE_THAT(error_of_value(key, "zzz"), Contains("is not one of " + key.choices.front()));
    REQUIRE_THAT(error_of_value(key, "1"), Contains("is not one of"));
  }
  REQUIRE_THAT(error_of(kSmallest, {"model.dtype=bf61"}), Contains("did you mean: bf16"));
  REQUIRE_THAT(error_of(kSmallest, {"train.schedule.type=cosnie"}), Contains("did you mean: cosine"));
  REQUIRE(parse(kSmallest, {"model.dtype=bfloat16"}).model.dtype == "bf16");
  REQUIRE(parse(kSmallest, {"adapter.dtype=float32"}).adapter.dtype == "fp32");
}

TEST_CASE("what a later version will know is refused by name, never ignored", "[recipe]") {
  int values = 0;
  for (const Key& key : schema_table()) {
    for (const std::string& value : key.later) {
      INFO(key.path << " = " << value);
      const std::string given = key.kind == Kind::kTextList ? "[" + value + "]" : value;
      REQUIRE_THAT(error_of_value(key, given), Contains("not in this version") && Contains(value));
      ++values;
    }
  }
  REQUIRE(values > 10);
}

TEST_CASE("where a log goes and which signals end a run need no remark", "[recipe]") {
  REQUIRE(remarks(parse(kSmallest, {"log.to=[jsonl]", "log.progress=lines", "checkpoint.on_signal=[TERM]"})).empty());
}

TEST_CASE("quotes make text of a number", "[recipe]") {
  REQUIRE_THAT(error_of(kSmallest + "seed: \"42\"\n"), Contains("recipe.yaml:8:7") && Contains("take the quotes off"));
  REQUIRE(parse(kSmallest + "name: \"42\"\n").name == "42");
  REQUIRE(parse(kSmallest + "name: 42\n").name == "42");
}

TEST_CASE("devices, dates and templates have their own form", "[recipe]") {
  REQUIRE(parse(kSmallest, {"runtime.device=cuda:1"}).runtime.device == "cuda:1");
  REQUIRE_THAT(error_of(kSmallest, {"runtime.device=gpu"}), Contains("not a device"));
  REQUIRE_THAT(error_of(kSmallest, {"runtime.device=cuda:-1"}), Contains("not a device"));
  REQUIRE(parse(kSmallest, {"data.template_date=2024-02-29"}).data.template_date == "2024-02-29");
  REQUIRE_THAT(error_of(kSmallest, {"data.template_date=2023-02-29"}), Contains("not a date"));
  REQUIRE(parse(kSmallest, {"data.template=file:a.jinja"}).data.template_source == "file:a.jinja");
  REQUIRE_THAT(error_of(kSmallest, {"data.template=chatlm"}), Contains("did you mean: chatml"));
}

TEST_CASE("train_on, checkpointing and eval have a second form", "[recipe]") {
  const auto recipe =
      parse(kSmallest, {"data.train_on={roles: [user, tool]}", "memory.checkpointing={every: 2}", "data.eval={split: 0.1}"});
  REQUIRE(recipe.data.train_on == "roles");
  REQUIRE(recipe.data.train_on_roles == std::vector<std::string>{"user", "tool"});
  REQUIRE(recipe.memory.checkpointing == "every");
  REQUIRE(recipe.memory.checkpointing_every == 2);
  REQUIRE(recipe.data.eval.split == 0.1);
  REQUIRE(parse(kSmallest, {"data.eval=[{path: e.jsonl, format: text}]"}).data.eval.sources.at(0).format == "text");
  REQUIRE(parse(kSmallest, {"data.eval=null"}).data.eval.none());
  REQUIRE_THAT(error_of(kSmallest, {"data.train_on=roles"}), Contains("train_on: {roles: …}"));
  REQUIRE_THAT(error_of(kSmallest, {"memory.checkpointing={evry: 2}"}), Contains("unknown key \"evry\"") && Contains("every"));
  REQUIRE_THAT(error_of(kSmallest, {"data.eval={split: 1.5}"}), Contains("out of range"));
  REQUIRE_THAT(error_of(kSmallest, {"data.eval=[]"}), Contains("empty list"));
  REQUIRE_THAT(error_of(kSmallest, {"data.eval=0.1"}), Contains("list of sections"));
}

TEST_CASE("a module list may be one word or a list, without repetition", "[recipe]") {
  REQUIRE(parse(kSmallest, {"adapter.target=mlp"}).adapter.target == std::vector<std::string>{"mlp"});
  REQUIRE(parse(kSmallest, {"adapter.target=[q_proj, \"*.mlp.*\"]"}).adapter.target == std::vector<std::string>{"q_proj", "*.mlp.*"});
  REQUIRE_THAT(error_of(kSmallest, {"adapter.target=[q_proj, q_proj]"}), Contains("listed twice"));
  REQUIRE_THAT(error_of(kSmallest, {"log.to=console"}), Contains("[console]"));
}

TEST_CASE("name and environment are filled in, in paths only", "[recipe]") {
  ::setenv("GRAFT_TEST_FOLDER", "/scratch/x", 1);
  ::unsetenv("GRAFT_TEST_MISSING");
  const auto recipe = parse(replaced(kSmallest, "runs/a", "${env:GRAFT_TEST_FOLDER}/${name}") + "name: hello\n");
  REQUIRE(recipe.output_dir == "/scratch/x/hello");
  REQUIRE_THAT(error_of(replaced(kSmallest, "runs/a", "${env:GRAFT_TEST_MISSING}/a")),
               Contains("recipe.yaml:2:13") && Contains("GRAFT_TEST_MISSING is not set"));
  REQUIRE_THAT(error_of(replaced(kSmallest, "runs/a", "${nmae}")), Contains("did you mean: name"));
  REQUIRE_THAT(error_of(replaced(kSmallest, "runs/a", "runs/${name")), Contains("closing"));
  REQUIRE_THAT(error_of(kSmallest + "adapter: {target: [\"${name}\"]}\n"), Contains("only in paths"));
  REQUIRE(parse(replaced(kSmallest, "runs/a", "runs/${name}")).output_dir == "runs/recipe");
}

TEST_CASE("a missing path is reported with its line, the path tried and where it does exist", "[recipe]") {
  const auto recipe = parse(kSmallest);
  const auto error = missing_path(recipe, "data.train.0.path", "d.jsonl", "data file");
  REQUIRE_THAT(error.what(), Contains("recipe.yaml:6:18: data.train.0.path: the data file \"d.jsonl\" does not exist"));
  REQUIRE(error.where().front() == '/');
}
