#include "graft/recipe/reference.h"

#include <algorithm>

#include "graft/base/json.h"
#include "graft/base/strings.h"
#include "graft/recipe/schema.h"
#include "recipe/recipe_support.h"

using namespace graft::recipe;

TEST_CASE("every key of the table is explained, in the schema and in the reference recipe", "[recipe]") {
  const std::string everything = explain(""), schema = json_schema(), reference = reference_recipe();
  REQUIRE(schema_table().size() > 90);
  for (const Key& key : schema_table()) {
    INFO(key.path);
    REQUIRE_THAT(everything, Contains(key.path + ":"));
    REQUIRE_THAT(explain(key.path), Contains(key.doc));
    REQUIRE_THAT(schema, Contains("\"" + key.leaf() + "\""));
    REQUIRE_THAT(reference, Contains(key.leaf() + ":"));
    REQUIRE_THAT(reference, Contains(key.doc));
  }
}

TEST_CASE("the reference recipe loads as it stands and holds the defaults", "[recipe]") {
  auto reference = graft::recipe::parse_recipe(reference_recipe(), "recipe.yaml");
  auto plain = parse(kSmallest);
  plain.output_dir = reference.output_dir;  // the four keys that have no default
  plain.model.path = reference.model.path;
  plain.data.train = reference.data.train;
  plain.train.steps = reference.train.steps;
  plain.train.epochs = reference.train.epochs;
  REQUIRE(reference == plain);
}

TEST_CASE("the table is sound: fields match kinds, paths are unique, sections come first, texts are lines", "[recipe]") {
  std::vector<std::string> seen = {""};
  for (const Key& key : schema_table()) {
    INFO(key.path);
    REQUIRE(std::find(seen.begin(), seen.end(), key.path) == seen.end());
    std::string parent = key.parent();
    if (graft::ends_with(parent, "[]")) parent = parent.substr(0, parent.size() - 2);
    REQUIRE(std::find(seen.begin(), seen.end(), parent) != seen.end());
    seen.push_back(key.path);
    REQUIRE(key.doc.size() > 10);
    REQUIRE(key.doc.back() == '.');
    REQUIRE(key.doc.find('\n') == std::string::npos);
    if (key.kind == Kind::kChoice) REQUIRE_FALSE(key.choices.empty());
    if (key.is_section()) REQUIRE_FALSE(key.has_field());
  }
}

TEST_CASE("explain answers for keys, sections and elements and suggests for slips", "[recipe]") {
  REQUIRE_THAT(explain("adapter.rank"), Contains("integer from 1 to 4096") && Contains("Default: 16") && Contains("lora_r"));
  REQUIRE_THAT(explain("data.train.0.limit"), Contains("first N rows"));
  REQUIRE_THAT(explain("quant.type"), Contains("Not in this version") && Contains("nf4"));
  REQUIRE_THAT(explain("train.optimizer"), Contains("train.optimizer.lr"));
  REQUIRE_THROWS_AS(explain("adapter.rnk"), graft::UsageError);
  REQUIRE_THROWS_WITH(explain("adapter.rnk"), Contains("did you mean: adapter.rank"));
  REQUIRE_THROWS_WITH(explain("lora_alpha"), Contains("did you mean: adapter.alpha"));
}
