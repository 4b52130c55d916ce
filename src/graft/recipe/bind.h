#pragma once

#include "graft/recipe/problems.h"
#include "graft/recipe/recipe.h"
#include "graft/recipe/yaml_tree.h"

namespace graft::recipe {

/// Tree → structs, by the schema table. Fills recipe.places. Everything that does not fit (unknown key, wrong type, out of range, a value
/// of a later version, required key missing) goes into `problems` and leaves the default in place. Rules between keys: constraints.h.
void bind(const Node& root, Recipe& recipe, Problems& problems);

}  // namespace graft::recipe
