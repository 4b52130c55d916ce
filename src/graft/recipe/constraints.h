#pragma once

#include "graft/recipe/problems.h"
#include "graft/recipe/recipe.h"

namespace graft::recipe {

/// Rules between keys, checked once every key by itself is right. Each violation goes into `problems` with the place of the key that broke
/// it.
void check_constraints(const Recipe& recipe, Problems& problems);

}  // namespace graft::recipe
