#include "graft/recipe/yaml_tree.h"

#include <algorithm>

#include "graft/base/strings.h"
#include "graft/recipe/yaml_text.h"

namespace graft::recipe {

std::string Place::text() const { return line == 0 ? file : file + ":" + std::to_string(line) + ":" + std::to_string(column); }

const Node* Node::find(std::string_view key) const {
  const auto found = std::find_if(members.begin(), members.end(), [&](const Member& member) { return member.key == key; });
  return found == members.end() ? nullptr : &found->value;
}

Node* Node::find(std::string_view key) { return const_cast<Node*>(static_cast<const Node*>(this)->find(key)); }

void Node::erase(std::string_view key) {
  members.erase(std::remove_if(members.begin(), members.end(), [&](const Member& member) { return member.key == key; }), members.end());
}

void merge_over(Node& base, const Node& child) {
  if (!base.is_map() || !child.is_map()) {
    base = child;
    return;
  }
  base.place = child.place;
  for (const Member& member : child.members) {
    if (Node* below = base.find(member.key)) {
      merge_over(*below, member.value);
    } else {
      base.members.push_back(member);
    }
  }
}

Node parse_override_value(std::string_view text, const std::string& origin, Problems& problems) {
  const Place place{origin, 0, 0};
  const std::string checked = clean_yaml_text(text, origin);
  const size_t begin = checked.find_first_not_of(" \t\n");
  const size_t end = checked.find_last_not_of(" \t\n");
  const std::string value = begin == std::string::npos ? "" : checked.substr(begin, end - begin + 1);
  if (!value.empty() && std::string_view("[{\"'").find(value.front()) != std::string_view::npos) {
    Node node = parse_yaml(value, origin, problems);
    const auto take_place = [&](auto&& self, Node& here) -> void {
      here.place = place;
      for (Node& item : here.items) self(self, item);
      for (Member& member : here.members) member.place = place, self(self, member.value);
    };
    take_place(take_place, node);
    return node;
  }
  Node node;
  node.place = place;
  if (value.empty() || value == "~" || value == "null" || value == "Null" || value == "NULL") return node;
  node.kind = Node::Kind::kScalar;
  node.text = value;
  return node;
}

}  // namespace graft::recipe
