#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

/// The recipes that come with graft. They lie in $GRAFT_RECIPES when that is set, else beside the executable: <exe>/../recipes,
/// <exe>/../share/graft/recipes (a bundle) or <exe>/../../recipes (the build tree).
namespace graft::recipe {

struct ShippedRecipe {
  std::string name;      ///< path below the folder without extension: "llama/1b_lora"
  std::string headline;  ///< its first comment line
  std::filesystem::path file;
};

/// RecipeError when the folder cannot be found.
std::filesystem::path shipped_folder();

/// All, by name.
std::vector<ShippedRecipe> shipped_recipes();

/// The file of a shipped recipe, or nullopt. Names that leave the folder ("../x", absolute) are never found.
std::optional<std::filesystem::path> find_shipped(const std::string& name);

/// Its text. "reference" gives the generated reference recipe. UsageError with the nearest name when there is none.
std::string shipped_text(const std::string& name);

/// Writes shipped_text to a new file. UsageError when the file exists.
void copy_shipped(const std::string& name, const std::filesystem::path& destination);

}  // namespace graft::recipe
