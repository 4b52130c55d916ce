#include <unistd.h>
#include <filesystem>
#include <fstream>

#include "recipe/recipe_support.h"

namespace fs = std::filesystem;

namespace {

/// A folder of recipes that goes away with the test.
class Folder {
 public:
  explicit Folder(const std::string& name)
      : path_(fs::temp_directory_path() / ("graft-recipe-" + name + "-" + std::to_string(::getpid()))) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  fs::path write(const std::string& name, const std::string& text) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
    return path_ / name;
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::string load_error(const fs::path& file) {
  try {
    graft::recipe::load_recipe(file);
  } catch (const graft::RecipeError& error) {
    return error.what();
  }
  FAIL("no error");
  return "";
}

}  // namespace

TEST_CASE("extends: maps merge, lists replace, the child wins", "[recipe]") {
  const Folder folder("merge");
  folder.write("bases/one.yaml",
               "schema: 1\nadapter: {rank: 4, dropout: 0.1}\ndata:\n  train: [{path: a}, {path: b}]\nlog: {to: [console, jsonl]}\n");
  const auto file = folder.write("child.yaml", kSmallest + "extends: bases/one\nadapter: {rank: 8}\nlog: {to: [jsonl]}\n");
  const auto recipe = graft::recipe::load_recipe(file);
  REQUIRE(recipe.adapter.rank == 8);
  REQUIRE(recipe.adapter.dropout == 0.1);
  REQUIRE(recipe.data.train.size() == 1);
  REQUIRE(recipe.log.to == std::vector<std::string>{"jsonl"});
  REQUIRE(recipe.was_given("adapter.dropout"));
  REQUIRE_THAT(recipe.place_of("adapter.dropout"), Contains("one.yaml:2:29"));
  REQUIRE_THAT(recipe.place_of("adapter.rank"), Contains("child.yaml:9:17"));
}

TEST_CASE("an extended recipe equals the flat one and has its hash", "[recipe]") {
  const Folder folder("flat");
  folder.write("base.yaml", kSmallest);
  const auto child = folder.write("run.yaml", "schema: 1\nextends: base.yaml\nseed: 7\n");
  const auto flat = folder.write("flat/run.yaml", kSmallest + "seed: 7\n");
  REQUIRE(graft::recipe::load_recipe(child) == graft::recipe::load_recipe(flat));
  REQUIRE(identity_hash(graft::recipe::load_recipe(child)) == identity_hash(graft::recipe::load_recipe(flat)));
}

TEST_CASE("extends reaches shipped recipes by name", "[recipe]") {
  const Folder folder("shipped");
  const auto file = folder.write("mine.yaml", "schema: 1\nextends: llama/1b_lora\nmodel: {path: elsewhere}\n");
  REQUIRE(graft::recipe::load_recipe(file).model.path == "elsewhere");
  const auto wrong = folder.write("wrong.yaml", "schema: 1\nextends: llama/1b_lroa\n");
  REQUIRE_THAT(load_error(wrong), Contains("wrong.yaml:2:10") && Contains("did you mean: llama/1b_lora"));
}

TEST_CASE("extends: cycles and long chains are errors", "[recipe]") {
  const Folder folder("cycle");
  const auto a = folder.write("a.yaml", "schema: 1\nextends: b.yaml\n");
  folder.write("b.yaml", "schema: 1\nextends: ./a.yaml\n");
  REQUIRE_THAT(load_error(a), Contains("b.yaml:2:10") && Contains("already in the chain"));
  REQUIRE_THAT(load_error(folder.write("self.yaml", "schema: 1\nextends: self.yaml\n")), Contains("already in the chain"));
  for (int i = 0; i < 20; ++i) folder.write("l" + std::to_string(i) + ".yaml", "schema: 1\nextends: l" + std::to_string(i + 1) + "\n");
  REQUIRE_THAT(load_error(folder.path() / "l0.yaml"), Contains("longer than"));
}

TEST_CASE("problems in a base are reported at the base's lines", "[recipe]") {
  const Folder folder("places");
  folder.write("base.yaml", "schema: 1\nadapter:\n  rnk: 4\n");
  const auto file = folder.write("child.yaml", kSmallest + "extends: base\nseed: x\n");
  REQUIRE_THAT(load_error(file), Contains("base.yaml:3:3: unknown key \"rnk\"") && Contains("child.yaml:9:7"));
  REQUIRE_THAT(load_error(folder.write("list.yaml", "schema: 1\nextends: [a, b]\n")), Contains("the name of one recipe"));
}

TEST_CASE("a recipe that does not exist is a usage error, a directory too", "[recipe]") {
  const Folder folder("missing");
  REQUIRE_THROWS_AS(graft::recipe::load_recipe(folder.path() / "no.yaml"), graft::UsageError);
  REQUIRE_THROWS_AS(graft::recipe::load_recipe(folder.path()), graft::UsageError);
}

TEST_CASE("a base says which schema it was written for", "[recipe]") {
  const Folder folder("schema");
  folder.write("none.yaml", "seed: 5\n");
  folder.write("two.yaml", "schema: 2\nseed: 5\n");
  for (const char* base : {"none", "two"})
    REQUIRE_THAT(load_error(folder.write("run.yaml", kSmallest + "extends: " + base + "\n")),
                 Contains(std::string(base) + ".yaml:") && Contains("schema: 1"));
}

TEST_CASE("a path that exists beside the base that names it is said so", "[recipe]") {
  const Folder folder("beside");
  folder.write("bases/weights/config.json", "{}");
  folder.write("bases/one.yaml", "schema: 1\nmodel: {path: weights}\n");
  const auto recipe = graft::recipe::load_recipe(folder.write(
      "run.yaml", "schema: 1\nextends: bases/one\noutput_dir: out\nadapter: {rank: 4}\ndata: {train: [{path: a}]}\ntrain: {steps: 1}\n"));
  REQUIRE_THAT(std::string(missing_path(recipe, "model.path", recipe.model.path, "model directory").what()), Contains("bases/weights"));
}
