#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "graft/recipe/problems.h"

namespace graft::recipe {

/// Where a value stands. line 0: no line (the command line).
struct Place {
  std::string file;
  int line = 0, column = 0;  ///< 1-based, in characters

  std::string text() const;
};

struct Member;

/// A YAML value before it has a type: what was written and where.
struct Node {
  enum class Kind { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  std::string text;             ///< kScalar
  bool quoted = false;          ///< kScalar in quotes or as a block: always text, never a number
  std::vector<Node> items;      ///< kList
  std::vector<Member> members;  ///< kMap, in the file's order, keys unique
  Place place;

  bool is_null() const { return kind == Kind::kNull; }
  bool is_scalar() const { return kind == Kind::kScalar; }
  bool is_list() const { return kind == Kind::kList; }
  bool is_map() const { return kind == Kind::kMap; }
  Node* find(std::string_view key);
  const Node* find(std::string_view key) const;
  void erase(std::string_view key);
};

struct Member {
  std::string key;
  Place place;
  Node value;
};

/// One YAML document → tree. A strict subset of YAML 1.2: no anchors, aliases, tags, merge keys or second document; no tab as
/// indentation; UTF-8; at most 1 MiB and 32 levels. Duplicate keys go into `problems` (the first stays); everything else is thrown as a
/// RecipeError at once, because nothing after it can be trusted. An empty document is an empty map.
Node parse_yaml(std::string_view text, const std::string& origin, Problems& problems);

/// A value on the command line: flow YAML when it begins with [ { " or ', otherwise a plain scalar as it stands.
Node parse_override_value(std::string_view text, const std::string& origin, Problems& problems);

/// child over base: maps merge key by key, everything else is replaced.
void merge_over(Node& base, const Node& child);

}  // namespace graft::recipe
