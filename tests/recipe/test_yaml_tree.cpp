#include "recipe/recipe_support.h"

TEST_CASE("the smallest recipe loads and everything else holds its default", "[recipe]") {
  const auto recipe = parse(kSmallest);
  REQUIRE(recipe.model.path == "models/m");
  REQUIRE(recipe.train.steps == 5);
  REQUIRE(recipe.adapter.rank == 16);
  REQUIRE(recipe.adapter.effective_alpha() == 32.0);
  REQUIRE(recipe.batch.sequences_per_step == 16);
  REQUIRE(recipe.name == "recipe");
  REQUIRE(recipe.data.train.at(0).place == "recipe.yaml:6:18");
}

TEST_CASE("places count characters, not bytes", "[recipe]") {
  REQUIRE_THAT(error_of(kSmallest + "log: {\"é\": 1, evry: 2}\n"), Contains("recipe.yaml:8:15: unknown key \"evry\" in log"));
}

TEST_CASE("a duplicate key is an error at every level and names the first", "[recipe]") {
  REQUIRE_THAT(error_of(kSmallest + "seed: 1\nseed: 2\n"),
               Contains("recipe.yaml:9:1: key \"seed\" is given twice; first at recipe.yaml:8:1"));
  REQUIRE_THAT(error_of(kSmallest + "adapter:\n  rank: 1\n  \"rank\": 2\n"), Contains("recipe.yaml:10:3") && Contains("recipe.yaml:9:3"));
  REQUIRE_THAT(error_of(replaced(kSmallest, "{path: d.jsonl}", "{path: d.jsonl, path: e.jsonl}")),
               Contains("recipe.yaml:6:27: key \"path\" is given twice"));
}

TEST_CASE("tabs may not indent", "[recipe]") {
  REQUIRE_THAT(error_of(kSmallest + "adapter:\n\trank: 1\n"), Contains("recipe.yaml:9:1: a tab indents this line"));
  REQUIRE_THAT(error_of(kSmallest + "adapter:\n  \trank: 1\n"), Contains("recipe.yaml:9:3: a tab"));
}

TEST_CASE("anchors, aliases, tags, merge keys and second documents are refused with their place", "[recipe]") {
  REQUIRE_THAT(error_of(kSmallest + "seed: &a 1\n"), Contains("recipe.yaml:8:") && Contains("anchors"));
  REQUIRE_THAT(error_of(kSmallest + "seed: *a\n"), Contains("recipe.yaml:8:") && Contains("aliases"));
  REQUIRE_THAT(error_of(kSmallest + "adapter:\n  target: *.mlp.*\n"), Contains("recipe.yaml:9:") && Contains("quotes"));
  REQUIRE_THAT(error_of(kSmallest + "seed: !!int 1\n"), Contains("recipe.yaml:8:") && Contains("tags"));
  REQUIRE_THAT(error_of(kSmallest + "adapter: !lora {rank: 1}\n"), Contains("recipe.yaml:8:") && Contains("tags"));
  REQUIRE_THAT(error_of(kSmallest + "adapter:\n  <<: {rank: 1}\n"), Contains("recipe.yaml:9:3") && Contains("use extends"));
  REQUIRE_THAT(error_of(kSmallest + "---\nseed: 1\n"), Contains("recipe.yaml:8:1: a second YAML document"));
  REQUIRE_NOTHROW(parse("---\n" + kSmallest));
}

TEST_CASE("keys are plain names", "[recipe]") {
  REQUIRE_THAT(error_of(kSmallest + "? [a, b]\n: 1\n"), Contains("recipe.yaml:8:3: a key must be a plain name"));
  REQUIRE_THAT(error_of(kSmallest + "? {a: b}\n: 1\n"), Contains("a key must be a plain name"));
  REQUIRE_THAT(error_of(kSmallest + "null: 1\n"), Contains("recipe.yaml:8:1: a key must be a plain name"));
}

TEST_CASE("syntax errors carry the place and a way out", "[recipe]") {
  REQUIRE_THAT(error_of(kSmallest + "adapter: {rank: 1\n"), Contains("recipe.yaml:") && Contains("not valid YAML") && Contains("do:"));
  for (const char* open :
       {"name: 'my run\nseed: 7\ncheckpoint: {every: 1}\n", "name: \"my run\nseed: 7\n", "seed: 7\ncheckpoint: {every: \"1"})
    REQUIRE_THAT(error_of(kSmallest + open), Contains("recipe.yaml:") && Contains("never closed"));
  REQUIRE_THAT(error_of(kSmallest + "name: a: b\n"), Contains("recipe.yaml:8:8") && Contains("needs quotes"));
}

TEST_CASE("byte order mark and Windows line ends change nothing", "[recipe]") {
  std::string windows;
  for (char c : kSmallest) windows += c == '\n' ? std::string("\r\n") : std::string(1, c);
  REQUIRE(parse("\xEF\xBB\xBF" + kSmallest) == parse(kSmallest));
  REQUIRE(parse(windows) == parse(kSmallest));
  REQUIRE(parse("\xEF\xBB\xBF" + kSmallest).place_of("schema") == "recipe.yaml:1:9");
}

TEST_CASE("bytes that are not text are refused with their place", "[recipe]") {
  REQUIRE_THAT(error_of(kSmallest + "name: a\xFF\n"), Contains("recipe.yaml:8:8: this byte is not UTF-8"));
  REQUIRE_THAT(error_of(kSmallest + std::string("name: a\0b\n", 10)), Contains("recipe.yaml:8:8: control character 0x00"));
  REQUIRE_THAT(error_of(kSmallest + "name: a\x04z\n"), Contains("recipe.yaml:8:8: control character 0x04"));
  REQUIRE_THAT(error_of("\xFF\xFEs\0c\0"), Contains("UTF-16"));
}

TEST_CASE("deep nesting and huge files end with an error, not a crash", "[recipe]") {
  REQUIRE_THAT(error_of("a: " + std::string(10000, '[')), Contains("recipe.yaml:1:"));
  REQUIRE_THAT(error_of("a: " + std::string(10000, '{')), Contains("recipe.yaml:1:"));
  std::string ladder;
  for (int depth = 0; depth < 10000 && ladder.size() < 900000; ++depth)
    ladder += std::string(static_cast<size_t>(depth % 100), ' ') + "a:\n";
  error_of(ladder);
  std::string dashes;
  for (int depth = 0; depth < 10000; ++depth) dashes += "- ";
  REQUIRE_THAT(error_of(dashes + "a"), Contains("levels deep"));
  REQUIRE_THAT(error_of(std::string((1 << 20) + 1, ' ')), Contains("a recipe has at most"));
}

TEST_CASE("a file full of faults is given up early", "[recipe]") {
  std::string keys, entries;
  for (int i = 0; i < 60000; ++i) keys += "k" + std::to_string(i) + ": 1\n";
  for (int i = 0; i < 60000; ++i) entries += "{pth: a},";
  REQUIRE_THAT(error_of(keys), Contains("recipe.yaml:201:1: more than 200 keys"));
  REQUIRE_THAT(error_of(replaced(kSmallest, "{path: d.jsonl}", entries)), Contains("at least 100 problems"));
}

TEST_CASE("an empty file, a list and a word are not recipes", "[recipe]") {
  REQUIRE_THAT(error_of(""),
               Contains("required key schema is missing") && Contains("required key model.path is missing") && Contains("recipe.yaml:1:1"));
  REQUIRE_THAT(error_of("- a\n- b\n"), Contains("a recipe is a map"));
  REQUIRE_THAT(error_of("hello\n"), Contains("a recipe is a map"));
}

TEST_CASE("messages never carry control characters of the recipe", "[recipe]") {
  REQUIRE(error_of(kSmallest + "\"\\x1b[31m\": 1\n").find('\x1b') == std::string::npos);
}
