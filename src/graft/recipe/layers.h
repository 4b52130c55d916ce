#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "graft/recipe/problems.h"
#include "graft/recipe/yaml_tree.h"

namespace graft::recipe {

/// Puts the recipes that `root` extends below it, recursively; the result holds no `extends`. `file` is where root was read from: a
/// relative `extends` is looked for beside it, with and without .yaml, then among the shipped recipes. A cycle, a chain longer than 8, or a
/// recipe that does not exist is a RecipeError.
void apply_extends(Node& root, const std::filesystem::path& file, Problems& problems);

/// Applies "a.b=value" and "~a.b" in order. An unknown key, a malformed override or a key that is overridden twice goes into `problems`.
void apply_overrides(Node& root, const std::vector<std::string>& overrides, Problems& problems);

/// Sets one key, whatever the file and the overrides say: for --device and --dtype.
void set_option(Node& root, const std::string& path, const std::string& value, const std::string& option);

}  // namespace graft::recipe
