#include <algorithm>

#include "graft/base/random.h"
#include "graft/recipe/reference.h"
#include "graft/recipe/schema.h"
#include "recipe/recipe_support.h"

using namespace graft::recipe;

namespace {

/// Loads or throws graft's own error; anything else (a signal, another exception) fails the test.
void require_clean(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    const Recipe recipe = parse(text, overrides);
    REQUIRE(parse_recipe(resolved_yaml(recipe), "again.yaml") == recipe);
  } catch (const graft::RecipeError& error) {
    REQUIRE(error.message().size() > 5);
  }
}

std::string mutated(std::string text, graft::RandomStream& random) {
  static const std::vector<std::string> pieces = {"[",
                                                  "]",
                                                  "{",
                                                  "}",
                                                  ":",
                                                  ": ",
                                                  "- ",
                                                  "\n",
                                                  "\n  ",
                                                  "#",
                                                  "'",
                                                  "\"",
                                                  "|",
                                                  ">",
                                                  "&a",
                                                  "*a",
                                                  "!t",
                                                  "%",
                                                  "---\n",
                                                  "...\n",
                                                  "\t",
                                                  "? ",
                                                  "<<",
                                                  "${name}",
                                                  "null",
                                                  "~",
                                                  "1e999",
                                                  "0x7f",
                                                  "-1",
                                                  "\xC3",
                                                  "\xEF\xBB\xBF",
                                                  "\r",
                                                  "\\x00",
                                                  "9999999999999999999",
                                                  "🦀",
                                                  ",",
                                                  "@",
                                                  "`"};
  const int changes = 1 + static_cast<int>(random.below(4));
  for (int i = 0; i < changes && !text.empty(); ++i) {
    const size_t at = random.below(text.size());
    const size_t length = std::min<size_t>(1 + random.below(20), text.size() - at);
    switch (random.below(5)) {
      case 0:
        text.erase(at, length);
        break;
      case 1:
        text.insert(at, pieces[random.below(pieces.size())]);
        break;
      case 2:
        text[at] = static_cast<char>(random.below(256));
        break;
      case 3:
        text.insert(random.below(text.size()), text.substr(at, length));
        break;
      default:
        text.resize(at);
        break;
    }
  }
  return text;
}

}  // namespace

TEST_CASE("3000 mutated recipes load or end with a recipe error", "[recipe]") {
  graft::RandomStream random(7, "mutations");
  const std::string reference = reference_recipe();
  for (int i = 0; i < 3000; ++i) {
    const std::string text = mutated(
        i % 3 == 0 ? reference : kSmallest + "adapter:\n  target: [q_proj, '*.mlp.*']\n  overrides:\n  - {match: a, rank: 2}\n", random);
    INFO(text);
    require_clean(text);
  }
}

TEST_CASE("2000 random override lines load or end with a recipe error", "[recipe]") {
  graft::RandomStream random(11, "overrides");
  const std::vector<std::string> values = {"1",       "-1", "x", "",    "null",    "true", "[1]",  "{a: b}", "[{path: a}]", "3%",
                                           "1 epoch", "\"", "[", "1e5", "${name}", "0.5",  "auto", "none",   "*",           "&a"};
  for (int i = 0; i < 2000; ++i) {
    const Key& key = schema_table()[random.below(schema_table().size())];
    std::string path = key.path;
    const size_t element = path.find("[]");
    if (element != std::string::npos) path.replace(element, 2, "." + std::to_string(random.below(2)));
    require_clean(kSmallest,
                  {mutated(path + "=" + values[random.below(values.size())], random), path + "=" + values[random.below(values.size())]});
  }
}

TEST_CASE("binary garbage ends with a recipe error", "[recipe]") {
  graft::RandomStream random(3, "garbage");
  for (int i = 0; i < 300; ++i) {
    std::string bytes(1 + random.below(3000), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.below(i % 2 == 0 ? 256 : 128));
    require_clean(bytes);
  }
}
