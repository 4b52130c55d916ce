#pragma once

#include <string>

#include "graft/recipe/recipe.h"

namespace graft::recipe {

struct WriteOptions {
  bool comments = false;  ///< each key's meaning behind its value, keys without a value as comments (the reference recipe)
};

/// The recipe as block YAML in the table's order, without the `resolved` section.
std::string write_yaml(const Recipe& recipe, const WriteOptions& options);

}  // namespace graft::recipe
