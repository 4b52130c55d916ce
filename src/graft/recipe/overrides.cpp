#include <algorithm>
#include <optional>

#include "graft/base/strings.h"
#include "graft/recipe/layers.h"
#include "graft/recipe/schema.h"

namespace graft::recipe {
namespace {

constexpr size_t kLongestPath = 256;

bool is_index(const std::string& part) { return !part.empty() && part.find_first_not_of("0123456789") == std::string::npos; }

/// The list entry, or nullptr when there is none.
Node* entry_of(Node& list, const std::string& index) {
  constexpr size_t kMostDigits = 6;
  if (!list.is_list() || index.size() > kMostDigits) return nullptr;
  const size_t number = std::stoul(index);
  return number < list.items.size() ? &list.items[number] : nullptr;
}

std::string origin_of(const std::string& override_text) { return "command line: " + shortened(override_text, 200); }

/// The deepest prefix of `path` that exists, for the suggestion: {"adapter", "rnk"} of "adapter.rnk".
std::pair<std::string, std::string> first_unknown(const std::string& path) {
  std::string known;
  for (const std::string& part : split(path, '.')) {
    const std::string next = known.empty() ? part : known + "." + part;
    if (!is_index(part) && find_key(next) == nullptr) return {known, part};
    known = next;
  }
  return {known, ""};
}

/// "data.train.0" → "data.train[]"; nullopt when it is nothing that has keys.
std::optional<std::string> pattern_of_section(const std::string& path) {
  if (path.empty()) return "";
  const size_t dot = path.rfind('.');
  if (dot != std::string::npos && is_index(path.substr(dot + 1))) {
    const Key* list = find_key(path.substr(0, dot));
    return list != nullptr && list->kind == Kind::kItems ? std::optional(element_path(*list)) : std::nullopt;
  }
  const Key* section = find_key(path);
  return section != nullptr ? std::optional(section->path) : std::nullopt;
}

std::string suggestion(const std::string& path) {
  const auto [parent, leaf] = first_unknown(path);
  const auto section = pattern_of_section(parent);
  if (!section) return "";
  const std::string nearest = nearest_key(*section, leaf);
  if (nearest.empty() || nearest.find('.') != std::string::npos || parent.empty()) return nearest;
  return parent + "." + nearest;
}

/// Element paths end in an index ("data.train.0"); everything else must be in the table.
bool path_exists(const std::string& path) {
  const auto parts = split(path, '.');
  if (path.empty() || path.size() > kLongestPath || is_index(parts.front())) return false;
  for (size_t i = 1; i < parts.size(); ++i) {
    if (!is_index(parts[i])) continue;
    const Key* list = find_key(join({parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(i)}, "."));
    if (list == nullptr || list->kind != Kind::kItems) return false;
  }
  return is_index(parts.back()) || find_key(path) != nullptr;
}

/// The child that `part` names, made where there is none. nullptr: an index beyond the list.
Node* descend(Node& node, const std::string& part, const Place& place) {
  if (is_index(part)) return entry_of(node, part);
  if (!node.is_map()) {
    node = Node{};
    node.kind = Node::Kind::kMap;
    node.place = place;
  }
  if (Node* child = node.find(part)) return child;
  node.members.push_back({part, place, Node{}});
  node.members.back().value.place = place;
  return &node.members.back().value;
}

void set(Node& root, const std::string& path, Node value, const std::string& origin, Problems& problems) {
  Node* node = &root;
  std::string walked;
  for (const std::string& part : split(path, '.')) {
    Node* next = descend(*node, part, value.place);
    if (next == nullptr) {
      problems.add({origin, walked + " has " + std::to_string(node->items.size()) + " entries, so there is no " + walked + "." + part, "",
                    "entries count from 0; to add one, give the whole list: " + walked + "=[{…}, {…}]"});
      return;
    }
    walked += (walked.empty() ? "" : ".") + part;
    node = next;
  }
  *node = std::move(value);
}

void reset(Node& root, const std::string& path, const std::string& origin, Problems& problems) {
  const auto parts = split(path, '.');
  if (is_index(parts.back())) {
    problems.add({origin, "a list entry has no default", "",
                  "give the whole list instead: " + join({parts.begin(), parts.end() - 1}, ".") + "=[…]"});
    return;
  }
  Node* node = &root;
  for (size_t i = 0; i + 1 < parts.size() && node != nullptr; ++i) {
    node = is_index(parts[i]) ? entry_of(*node, parts[i]) : node->find(parts[i]);
  }
  if (node != nullptr) node->erase(parts.back());
}

struct Override {
  std::string text, path, value;
  bool resets = false;
};

bool overlap(const std::string& a, const std::string& b) { return a == b || starts_with(a, b + ".") || starts_with(b, a + "."); }

/// Splits and checks one override; false when there is a problem.
bool read_override(const std::string& text, Override& result, Problems& problems) {
  const std::string origin = origin_of(text);
  result.text = text;
  result.resets = starts_with(text, "~");
  const size_t equals = text.find('=');
  if (!result.resets && equals == std::string::npos) {
    problems.add({origin, "is not an override", "", "write key.path=value, or ~key.path for its default"});
    return false;
  }
  if (result.resets && equals != std::string::npos) {
    problems.add({origin, "~key.path takes no value", "", "write " + text.substr(0, equals) + " or " + text.substr(1)});
    return false;
  }
  result.path = result.resets ? text.substr(1) : text.substr(0, equals);
  result.value = result.resets ? "" : text.substr(equals + 1);
  if (path_exists(result.path)) return true;
  problems.add({origin, "unknown key \"" + shortened(result.path) + "\"", result.path.size() > kLongestPath ? "" : suggestion(result.path),
                "graft recipe explain lists the keys"});
  return false;
}

}  // namespace

void apply_overrides(Node& root, const std::vector<std::string>& overrides, Problems& problems) {
  if (!root.is_map()) return;
  std::vector<Override> applied;
  for (const std::string& text : overrides) {
    Override current;
    if (!read_override(text, current, problems)) continue;
    const std::string origin = origin_of(text);
    const auto earlier =
        std::find_if(applied.begin(), applied.end(), [&](const Override& other) { return overlap(other.path, current.path); });
    if (earlier != applied.end()) {
      problems.add({origin, current.path + " is overridden twice; first by " + shortened(earlier->text, 200), "", "keep one of them"});
      continue;
    }
    applied.push_back(current);
    if (current.path == "extends" || starts_with(current.path, "resolved")) {
      problems.add({origin, current.path + " cannot be overridden", "", "write it in a recipe file"});
    } else if (current.resets) {
      reset(root, current.path, origin, problems);
    } else {
      set(root, current.path, parse_override_value(current.value, origin, problems), origin, problems);
    }
  }
}

void set_option(Node& root, const std::string& path, const std::string& value, const std::string& option) {
  if (!root.is_map()) return;
  Node node;
  node.kind = Node::Kind::kScalar;
  node.text = value;
  node.place = {"command line: " + option + " " + value, 0, 0};
  Problems none;  // the path is ours and exists
  set(root, path, std::move(node), "", none);
}

}  // namespace graft::recipe
