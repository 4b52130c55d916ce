#include <set>

#include "graft/base/sha256.h"
#include "graft/base/strings.h"
#include "graft/recipe/schema.h"
#include "graft/recipe/write.h"

namespace graft::recipe {
namespace {

/// Tables hand out mutable fields; printing only reads them.
Field field_of(const Key& key, const Recipe& recipe) { return key.field(const_cast<Recipe*>(&recipe)); }

bool in_element(const Key& key) { return key.path.find("[]") != std::string::npos; }

/// Keys that the app fills in when they are not given: the day of the first start, and an adapter's shape from init_from.
bool is_filled_in(const Key& key, const Recipe& recipe) {
  if (recipe.was_given(key.path)) return false;
  const bool follows_init_from = starts_with(key.path, "adapter.") && key.path != "adapter.init_from" && key.path != "adapter.type";
  return key.kind == Kind::kDate || (follows_init_from && !recipe.adapter.init_from.empty());
}

/// The value of one identity row as it enters the hash: what was chosen, not what was filled in.
std::string identity_text(const Key& key, const Recipe& recipe) {
  if (is_filled_in(key, recipe)) return default_text(key);
  return format_field(key, field_of(key, recipe));
}

bool in_identity(const Key& key) { return key.changes_result && key.has_field() && !in_element(key); }

/// Keys given, without list elements, in the table's order.
std::vector<std::string> given_keys(const Recipe& recipe) {
  std::vector<std::string> keys;
  for (const Key& key : schema_table()) {
    if (!in_element(key) && recipe.was_given(key.path) && !starts_with(key.path, "resolved")) keys.push_back(key.path);
  }
  return keys;
}

}  // namespace

std::string identity_hash(const Recipe& recipe) {
  std::string canonical;
  for (const Key& key : schema_table()) {
    if (in_identity(key)) canonical += key.path + "=" + identity_text(key, recipe) + "\n";
  }
  return sha256(canonical);
}

std::vector<std::string> differing_keys(const Recipe& a, const Recipe& b) {
  std::vector<std::string> keys;
  for (const Key& key : schema_table()) {
    if (in_identity(key) && identity_text(key, a) != identity_text(key, b)) keys.push_back(key.path);
  }
  return keys;
}

std::string resolved_yaml(const Recipe& recipe) {
  WriteOptions options;
  std::string text =
      "# Written by graft: every key with its value. Reading this file gives the same run again.\n" + write_yaml(recipe, options);
  text += "resolved:\n  hash: " + identity_hash(recipe) + "\n  given: [" + join(given_keys(recipe), ", ") + "]\n";
  return text;
}

}  // namespace graft::recipe
