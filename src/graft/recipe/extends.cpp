#include <algorithm>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/strings.h"
#include "graft/recipe/layers.h"
#include "graft/recipe/shipped.h"

namespace graft::recipe {
namespace {

constexpr size_t kLongestChain = 8;

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

fs::path identity_of(const fs::path& path) {
  std::error_code ignored;
  const fs::path canonical = fs::weakly_canonical(path, ignored);
  return ignored ? path : canonical;
}

std::vector<std::string> shipped_names() {
  std::vector<std::string> names;
  try {
    for (const ShippedRecipe& recipe : shipped_recipes()) names.push_back(recipe.name);
  } catch (const Error&) {  // no folder: then there are no names to suggest
  }
  return names;
}

fs::path find_base(const Node& extends, const fs::path& file) {
  const fs::path beside = file.parent_path() / extends.text;
  for (const fs::path& candidate : {beside, fs::path(beside.string() + ".yaml")}) {
    if (is_file(candidate)) return candidate;
  }
  if (const auto shipped = find_shipped(extends.text)) return *shipped;
  throw_problem({extends.place.text(), "extends: there is no recipe \"" + shortened(extends.text) + "\"",
                 nearest_name(shortened(extends.text), shipped_names()),
                 "looked for " + fs::absolute(beside).string() + " (also with .yaml) and among the shipped recipes (graft recipe list)"});
}

/// Takes `extends` out of the root; null and absent are the same.
const Node take_extends(Node& root) {
  Node extends;
  if (const Node* node = root.find("extends")) extends = *node;
  root.erase("extends");
  if (!extends.is_null() && (!extends.is_scalar() || extends.text.empty() || extends.text.find('\n') != std::string::npos)) {
    throw_problem(
        {extends.place.text(), "extends: expected the name of one recipe", "", "write  extends: FILE  or a name from  graft recipe list"});
  }
  return extends;
}

/// A base is a recipe: it says which schema it was written for, and that is one graft reads.
void check_schema(const Node& base) {
  const Node* schema = base.find("schema");
  if (schema == nullptr)
    throw_problem({base.place.text(), "schema: a recipe that others extend needs it too", "", "write  schema: 1  at its top"});
  if (!schema->is_scalar() || schema->text != "1")
    throw_problem({schema->place.text(), "schema: this graft reads schema 1", "", "write  schema: 1, or use the graft it was written for"});
}

void stack_below(Node& root, const fs::path& file, std::vector<fs::path>& chain, Problems& problems) {
  if (!root.is_map()) return;
  const Node extends = take_extends(root);
  if (extends.is_null()) return;
  const fs::path base_file = find_base(extends, file);
  if (std::find(chain.begin(), chain.end(), identity_of(base_file)) != chain.end()) {
    throw_problem({extends.place.text(), "extends: " + shortened(extends.text) + " leads back to a recipe that is already in the chain", "",
                   "break the circle"});
  }
  if (chain.size() >= kLongestChain) {
    throw_problem(
        {extends.place.text(), "extends: the chain is longer than " + std::to_string(kLongestChain) + " recipes", "", "flatten it"});
  }
  chain.push_back(identity_of(base_file));
  Node base = parse_yaml(read_file(base_file, uint64_t{1} << 22), base_file.string(), problems);
  if (!base.is_map()) throw_problem({base.place.text(), "a recipe is a map of  key: value  lines", "", ""});
  stack_below(base, base_file, chain, problems);
  base.erase("resolved");
  check_schema(base);
  base.erase("schema");  // each recipe states its own
  merge_over(base, root);
  root = std::move(base);
}

}  // namespace

void apply_extends(Node& root, const fs::path& file, Problems& problems) {
  std::vector<fs::path> chain = {identity_of(file)};
  stack_below(root, file, chain, problems);
}

}  // namespace graft::recipe
