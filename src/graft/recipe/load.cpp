#include <algorithm>
#include <set>

#include "graft/base/files.h"
#include "graft/base/strings.h"
#include "graft/recipe/bind.h"
#include "graft/recipe/constraints.h"
#include "graft/recipe/layers.h"
#include "graft/recipe/schema.h"
#include "graft/recipe/shipped.h"

namespace graft::recipe {
namespace {

constexpr int64_t kSequencesPerStep = 16;  // when a recipe gives neither sequences nor tokens

/// A resolved recipe names every key; only those it lists as given count as given. When values were edited by hand, so that the hash no
/// longer fits, every key that differs from its default counts as given.
void restore_given(const Node& root, Recipe& recipe) {
  const Node* resolved = root.find("resolved");
  const Node* given = resolved == nullptr ? nullptr : resolved->find("given");
  if (given == nullptr || !given->is_list()) return;
  std::set<std::string> names;
  for (const Node& name : given->items) names.insert(name.text);
  const std::map<std::string, std::string> everything = recipe.places;
  const auto keep = [&](const auto& counts) {
    recipe.places.clear();
    for (const auto& [path, place] : everything) {
      const Key* key = find_key(path);
      const bool element =
          path.find_first_of("0123456789") != std::string::npos && key != nullptr && key->path.find("[]") != std::string::npos;
      if (element || starts_with(place, "command line") || counts(path)) recipe.places.emplace(path, place);
    }
  };
  keep([&](const std::string& path) { return names.count(path) != 0; });
  const Node* hash = resolved->find("hash");
  if (hash == nullptr || hash->text == identity_hash(recipe)) return;
  keep([&](const std::string& path) {
    const Key* key = find_key(path);
    if (key == nullptr || key->is_section() || !key->has_field()) return names.count(path) != 0;
    return names.count(path) != 0 || format_field(*key, key->field(&recipe)) != default_text(*key);
  });
}

Recipe build(const std::string& text, const fs::path& file, const std::vector<std::string>& overrides, const std::string& device_option,
             const std::string& dtype_option) {
  Problems problems;
  Recipe recipe;
  recipe.file = file;
  recipe.text = text;
  Node root = parse_yaml(text, file.string(), problems);
  apply_extends(root, file, problems);
  apply_overrides(root, overrides, problems);
  if (!device_option.empty()) set_option(root, "runtime.device", device_option, "--device");
  if (!dtype_option.empty()) set_option(root, "model.dtype", dtype_option, "--dtype");
  bind(root, recipe, problems);
  problems.throw_if_any();  // rules between keys need right keys
  restore_given(root, recipe);
  check_constraints(recipe, problems);
  problems.throw_if_any();
  if (!recipe.batch.sequences_per_step && !recipe.batch.tokens_per_step)
    recipe.batch.sequences_per_step = std::max(kSequencesPerStep, recipe.batch.micro_sequences);
  return recipe;
}

bool something_at(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

}  // namespace

Recipe parse_recipe(const std::string& text, const std::string& origin, const std::vector<std::string>& overrides,
                    const std::string& device_option, const std::string& dtype_option) {
  return build(text, origin, overrides, device_option, dtype_option);
}

Recipe load_recipe(const fs::path& path, const std::vector<std::string>& overrides, const std::string& device_option,
                   const std::string& dtype_option) {
  fs::path file = path;
  if (!something_at(path)) {
    const auto shipped = find_shipped(path.string());
    if (!shipped)
      throw UsageError("there is no recipe " + path.string())
          .at(fs::absolute(path).string())
          .hint("check the path; graft recipe list shows the shipped ones");
    file = *shipped;
  }
  std::error_code ignored;
  if (fs::is_directory(file, ignored))
    throw UsageError(file.string() + " is a directory, not a recipe").hint("give the .yaml file; to continue a run: graft resume DIR");
  try {
    return build(read_file(file, uint64_t{1} << 22), file, overrides, device_option, dtype_option);
  } catch (const DataError& error) {  // larger than anything a recipe could be
    throw RecipeError(error.message()).at(error.where()).hint("is this really a recipe?");
  }
}

}  // namespace graft::recipe
