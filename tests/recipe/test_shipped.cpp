#include "graft/recipe/shipped.h"

#include <unistd.h>

#include <filesystem>
#include <regex>

#include "graft/base/files.h"
#include "graft/base/json.h"
#include "graft/base/strings.h"
#include "recipe/recipe_support.h"

using namespace graft::recipe;

namespace {

/// How the embedded base was made: it must load, but it is not there to be copied.
bool is_workshop(const ShippedRecipe& recipe) { return graft::starts_with(recipe.name, "quickstart/"); }

bool is_part(const ShippedRecipe& recipe) { return graft::starts_with(recipe.name, "base/"); }

/// "llama/1b_lora" → tests/recipe/configs/llama-1b.json
std::filesystem::path config_of(const ShippedRecipe& recipe) {
  std::string name = recipe.name.substr(0, recipe.name.rfind('_'));
  std::replace(name.begin(), name.end(), '/', '-');
  return "tests/recipe/configs/" + name + ".json";
}

}  // namespace

TEST_CASE("every shipped recipe loads", "[recipe]") {
  REQUIRE(shipped_recipes().size() >= 14);
  for (const ShippedRecipe& shipped : shipped_recipes()) {
    if (is_part(shipped)) continue;
    INFO(shipped.name);
    const auto recipe = load_recipe(shipped.file);
    REQUIRE(load_recipe(shipped.name) == recipe);
    REQUIRE(identity_hash(parse_recipe(resolved_yaml(recipe), "x.yaml")) == identity_hash(recipe));
    REQUIRE(remarks(recipe).empty());
  }
}

TEST_CASE("every shipped recipe opens with its launch line and comments every key", "[recipe]") {
  for (const ShippedRecipe& shipped : shipped_recipes()) {
    if (is_workshop(shipped)) continue;
    INFO(shipped.name);
    const std::string text = graft::read_file(shipped.file);
    REQUIRE(shipped.headline.size() > 10);
    if (!is_part(shipped)) REQUIRE_THAT(text, Contains("#   graft train recipes/" + shipped.name + ".yaml\n"));
    for (const std::string& line : graft::split(text, '\n')) {
      if (line.empty() || graft::ends_with(line, ":")) continue;  // section heads
      INFO(line);
      REQUIRE(line.find('#') != std::string::npos);
    }
  }
}

TEST_CASE("the override examples in shipped recipes work", "[recipe]") {
  for (const ShippedRecipe& shipped : shipped_recipes()) {
    if (is_workshop(shipped)) continue;
    if (is_part(shipped)) continue;
    for (const std::string& line : graft::split(graft::read_file(shipped.file), '\n')) {
      if (!graft::starts_with(line, "#   graft train ")) continue;
      INFO(line);
      auto words = graft::split(line, ' ');
      std::vector<std::string> overrides;
      std::string device, dtype;
      for (size_t i = 6; i < words.size(); ++i) {
        if (words[i] == "--device")
          device = words.at(++i);
        else if (words[i] == "--dtype")
          dtype = words.at(++i);
        else if (!words[i].empty())
          overrides.push_back(words[i]);
      }
      REQUIRE(words.at(5) == "recipes/" + shipped.name + ".yaml");
      REQUIRE_NOTHROW(load_recipe(shipped.file, overrides, device, dtype));
    }
  }
}

TEST_CASE("the list in recipes/README.md is the list of recipes", "[recipe]") {
  const std::string readme = graft::read_file("recipes/README.md");
  for (const ShippedRecipe& shipped : shipped_recipes()) {
    if (is_workshop(shipped)) continue;
    INFO(shipped.name);
    REQUIRE_THAT(readme, Contains("`" + shipped.name + "`"));
  }
}

TEST_CASE("recipes named in the documentation exist, and so do the keys", "[recipe]") {
  for (const char* document : {"README.md", "recipes/README.md"}) {
    if (!std::filesystem::exists(document)) continue;
    const std::string text = graft::read_file(document);
    const std::regex path("recipes/[a-z0-9._/-]+\\.yaml");
    for (std::sregex_iterator match(text.begin(), text.end(), path), end; match != end; ++match) {
      INFO(document << ": " << match->str());
      REQUIRE(std::filesystem::exists(match->str()));
    }
  }
}

TEST_CASE("each family recipe has the published config it is planned against, within its positions", "[recipe]") {
  for (const ShippedRecipe& shipped : shipped_recipes()) {
    if (is_workshop(shipped)) continue;
    if (is_part(shipped) || graft::starts_with(shipped.name, "quickstart")) continue;
    INFO(shipped.name);
    const auto config = graft::read_json(config_of(shipped).string());
    const auto recipe = load_recipe(shipped.file);
    REQUIRE(recipe.model.max_length.value() <= config.at("max_position_embeddings").get<int64_t>());
    REQUIRE(config.at("hidden_size").get<int64_t>() % config.at("num_attention_heads").get<int64_t>() == 0);
  }
}

TEST_CASE("shipped names cannot leave their folder and slips are suggested", "[recipe]") {
  REQUIRE_FALSE(find_shipped("../README").has_value());
  REQUIRE_FALSE(find_shipped("/etc/passwd").has_value());
  REQUIRE_FALSE(find_shipped("llama/../../x").has_value());
  REQUIRE_FALSE(find_shipped("").has_value());
  REQUIRE(find_shipped("llama/1b_lora").has_value());
  REQUIRE(find_shipped("llama/1b_lora.yaml").has_value());
  REQUIRE_THROWS_WITH(shipped_text("lama/1b_lora"), Contains("did you mean: llama/1b_lora"));
  REQUIRE_THAT(shipped_text("reference"), Contains("schema: 1"));
}

TEST_CASE("copy writes a new file and never over an old one", "[recipe]") {
  const auto file = std::filesystem::temp_directory_path() / ("graft-copy-" + std::to_string(::getpid()) + ".yaml");
  std::filesystem::remove(file);
  copy_shipped("qwen3/0.6b_lora", file);
  REQUIRE(load_recipe(file).model.path == "models/Qwen3-0.6B");
  REQUIRE_THROWS_AS(copy_shipped("qwen3/0.6b_lora", file), graft::UsageError);
  std::filesystem::remove(file);
}
