#include "graft/recipe/shipped.h"

#include <algorithm>
#include <cstdlib>

#include "graft/base/files.h"
#include "graft/base/strings.h"
#include "graft/recipe/recipe.h"
#include "graft/recipe/reference.h"

namespace graft::recipe {
namespace {

const char* const kReference = "reference";

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

/// The first comment line without its "# ".
std::string headline_of(const fs::path& file) {
  const std::string text = read_file(file, 1 << 20);
  for (const std::string& line : split(text, '\n')) {
    if (starts_with(line, "#")) return line.substr(std::min(line.size(), line.find_first_not_of("# ")));
  }
  return "";
}

std::vector<std::string> names() {
  std::vector<std::string> result = {kReference};
  for (const ShippedRecipe& recipe : shipped_recipes()) result.push_back(recipe.name);
  return result;
}

}  // namespace

fs::path shipped_folder() {
  if (const char* chosen = std::getenv("GRAFT_RECIPES"); chosen != nullptr && *chosen != '\0') {
    if (is_folder(chosen)) return chosen;
    throw RecipeError("GRAFT_RECIPES names a folder that does not exist")
        .at(chosen)
        .hint("unset it, or point it at the folder of shipped recipes");
  }
  std::error_code ignored;
  const fs::path executable = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  for (const char* relative : {"../share/graft/recipes", "../recipes", "../../recipes"}) {
    const fs::path candidate = (executable / relative).lexically_normal();
    if (is_folder(candidate)) return candidate;
  }
  throw RecipeError("the shipped recipes were not found")
      .at((executable / "../recipes").lexically_normal().string())
      .hint("set GRAFT_RECIPES to their folder");
}

std::vector<ShippedRecipe> shipped_recipes() {
  const fs::path folder = shipped_folder();
  std::vector<ShippedRecipe> recipes;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file() || entry.path().extension() != ".yaml") continue;
    recipes.push_back({fs::relative(entry.path(), folder).replace_extension().generic_string(), headline_of(entry.path()), entry.path()});
  }
  std::sort(recipes.begin(), recipes.end(), [](const ShippedRecipe& a, const ShippedRecipe& b) { return a.name < b.name; });
  return recipes;
}

std::optional<fs::path> find_shipped(const std::string& name) {
  const fs::path wanted = fs::path(name).lexically_normal();
  if (name.empty() || wanted.is_absolute() || starts_with(wanted.generic_string(), "..") || name.find('\0') != std::string::npos)
    return std::nullopt;
  try {
    const fs::path folder = shipped_folder();
    for (const std::string& file : {name + ".yaml", name}) {
      std::error_code ignored;
      if (ends_with(file, ".yaml") && fs::is_regular_file(folder / file, ignored)) return folder / file;
    }
  } catch (const RecipeError&) {  // no folder: nothing is shipped
  }
  return std::nullopt;
}

std::string shipped_text(const std::string& name) {
  if (name == kReference) return reference_recipe();
  const auto file = find_shipped(name);
  if (!file)
    throw UsageError("there is no shipped recipe \"" + name + "\"")
        .nearest(nearest_name(name, names()))
        .hint("graft recipe list shows all");
  return read_file(*file);
}

void copy_shipped(const std::string& name, const fs::path& destination) {
  const std::string text = shipped_text(name);
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(destination, ignored))) {
    throw UsageError(destination.string() + " exists already").hint("choose another name, or remove it first");
  }
  replace_file(destination, text);
}

}  // namespace graft::recipe
