#pragma once

#include <string>
#include <vector>

#include "graft/recipe/recipe.h"
#include "support/catch.h"

/// The smallest recipe that loads. Seven lines; tests add theirs from line 8 on.
inline const std::string kSmallest =
    "schema: 1\n"
    "output_dir: runs/a\n"
    "model:\n"
    "  path: models/m\n"
    "data:\n"
    "  train: [{path: d.jsonl}]\n"
    "train: {steps: 5}\n";

inline graft::recipe::Recipe parse(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return graft::recipe::parse_recipe(text, "recipe.yaml", overrides);
}

/// The whole message of the RecipeError that the text causes; fails the test when there is none.
inline std::string error_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    parse(text, overrides);
  } catch (const graft::RecipeError& error) {
    REQUIRE(error.code() == graft::ExitCode::kRecipe);
    return error.what();
  }
  FAIL("no error for:\n" << text);
  return "";
}

inline std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}
