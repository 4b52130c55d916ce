#pragma once

#include "graft/recipe/schema.h"
#include "graft/recipe/yaml_tree.h"

namespace graft::recipe {

/// What ${…} may refer to.
struct Substitutions {
  std::string name;  ///< value of ${name}; "": not given
};

/// Reads one value (not a section, not a list of sections) into its field. Throws ValueError.
void read_value(const Key& key, const Node& node, const Substitutions& substitutions, const Field& field);

}  // namespace graft::recipe
