#include "graft/recipe/bind.h"

#include "graft/base/strings.h"
#include "graft/recipe/schema.h"
#include "graft/recipe/value.h"

namespace graft::recipe {
namespace {

class Binder {
 public:
  Binder(Recipe& recipe, Problems& problems) : recipe_(recipe), problems_(problems) {}

  void run(const Node& root) {
    if (!root.is_map()) {
      problems_.add({root.place.text(), "a recipe is a map of  key: value  lines", "", "see  graft recipe show reference"});
      return;
    }
    // ${name} may stand above the line that gives it.
    const Key& name = *find_key("name");
    if (const Node* node = root.find("name")) read(name, *node, "name", &recipe_);
    substitutions_.name = recipe_.name.empty() ? recipe_.file.stem().string() : recipe_.name;
    read_section("", "", root, &recipe_);
    recipe_.name = substitutions_.name;
  }

 private:
  /// The keys of one map. `pattern` is its path in the table, `path` its path in this recipe.
  void read_section(const std::string& pattern, const std::string& path, const Node& map, void* owner) {
    const std::string dot = path.empty() ? "" : ".";
    for (const Member& member : map.members) {
      const Key* key = key_below(pattern, member.key);
      if (key == nullptr) {
        refuse_unknown(pattern, path, member);
      } else {
        recipe_.places[path + dot + member.key] = member.value.place.text();
        read(*key, member.value, path + dot + member.key, owner);
      }
    }
    for (const Key* key : children_of(pattern)) {
      if (map.find(key->leaf()) == nullptr) require(*key, path + dot + key->leaf(), map, owner);
    }
  }

  static const Key* key_below(const std::string& pattern, const std::string& leaf) {
    for (const Key* key : children_of(pattern)) {
      if (key->leaf() == leaf) return key;
    }
    return nullptr;
  }

  void refuse_unknown(const std::string& pattern, const std::string& path, const Member& member) {
    const std::string where = path.empty() ? "at the top level" : "in " + path;
    std::string hint =
        "graft recipe explain" + (path.empty() ? std::string() : " " + pattern.substr(0, pattern.find("[]"))) + " lists the keys";
    if (member.key == "<<") hint = "merge keys are not part of the recipe language; use extends";
    problems_.add({member.place.text(), "unknown key \"" + shortened(member.key) + "\" " + where,
                   nearest_key(pattern, member.key.substr(0, 80)), hint});
  }

  /// A key that is absent: a problem when it is required; a section that is absent may hold required keys.
  void require(const Key& key, const std::string& path, const Node& above, void* owner) {
    if (key.is_section()) {
      Node nothing;
      nothing.kind = Node::Kind::kMap;
      nothing.place = above.place;
      read_section(key.path, path, nothing, owner);
    } else if (key.required && !key.form) {
      problems_.add({above.place.text(), "required key " + path + " is missing", "", "add it: " + key.doc});
    }
  }

  void read(const Key& key, const Node& node, const std::string& path, void* owner) {
    if (key.is_section()) {
      read_named_section(key, node, path, owner);
    } else if (node.is_map() && has_forms(key)) {
      read_form(key, node, path, owner);
    } else if (key.kind == Kind::kItems) {
      read_items(key, node, path, owner);
    } else if (key.has_field()) {
      read_scalar(key, node, path, owner);
    }
  }

  void read_named_section(const Key& key, const Node& node, const std::string& path, void* owner) {
    if (node.is_null() && !key.unset.empty()) return;
    if (node.is_map()) {
      read_section(key.path, path, node, owner);
      return;
    }
    const bool empty = node.is_null();
    problems_.add({node.place.text(), path + (empty ? " is an empty section" : " is a section, not a value"), "",
                   empty ? "indent its keys below it, or take the line out" : "write its keys below it; graft recipe explain " + key.path});
  }

  static bool has_forms(const Key& key) { return !children_of(key.path).empty() && children_of(key.path).front()->form; }

  /// `train_on: {roles: […]}`: the parent takes the name of the form.
  void read_form(const Key& key, const Node& node, const std::string& path, void* owner) {
    read_section(key.path, path, node, owner);
    if (node.members.size() != 1) {
      problems_.add({node.place.text(), path + " as a section takes exactly one key", "",
                     "write " + path + ": {" + children_of(key.path).front()->leaf() + ": …}"});
      return;
    }
    const Field field = key.field(owner);
    if (auto* const* word = std::get_if<std::string*>(&field)) **word = node.members.front().key;
  }

  void read_scalar(const Key& key, const Node& node, const std::string& path, void* owner) {
    try {
      read_value(key, node, substitutions_, key.field(owner));
    } catch (const ValueError& error) {
      if (path == "name" && recipe_.places.count("name") == 0) return;  // the look ahead of run(); reported when its turn comes
      problems_.add({node.place.text(), path + ": " + error.message, error.nearest, error.hint});
    }
  }

  void read_items(const Key& key, const Node& node, const std::string& path, void* owner) {
    if (node.is_null() && !key.unset.empty()) return;
    const Field field = key.field(owner);
    if (!node.is_list()) {
      problems_.add({node.place.text(), path + " is a list of sections", "", "write each entry as  - {" + first_leaf(key) + ": …}"});
    } else if (node.items.empty() && (key.required || !key.unset.empty())) {
      problems_.add({node.place.text(), path + " is an empty list", "", key.required ? "give at least one entry" : "write " + key.unset});
    } else {
      std::visit([&](auto target) { read_elements(key, node, path, target); }, field);
    }
  }

  template <typename Element>
  void read_elements(const Key& key, const Node& node, const std::string& path, std::vector<Element>* target) {
    target->clear();
    target->reserve(node.items.size());
    for (size_t i = 0; i < node.items.size(); ++i) {
      const Node& item = node.items[i];
      const std::string item_path = path + "." + std::to_string(i);
      if (!item.is_map()) {
        problems_.add({item.place.text(), item_path + " is a section", "", "write  {" + first_leaf(key) + ": …}"});
        continue;
      }
      target->emplace_back();
      read_section(element_path(key), item_path, item, &target->back());
      set_place(target->back(), item_path, item);
    }
  }
  template <typename Other>
  void read_elements(const Key&, const Node&, const std::string&, Other) {}

  static std::string first_leaf(const Key& key) { return children_of(element_path(key)).front()->leaf(); }

  template <typename Element>
  void set_place(Element& element, const std::string& path, const Node& item) {
    const auto place = [&](const char* leaf) {
      const auto found = recipe_.places.find(path + "." + leaf);
      return found == recipe_.places.end() ? item.place.text() : found->second;
    };
    if constexpr (std::is_same_v<Element, DataSource>) element.place = place("path");
    if constexpr (std::is_same_v<Element, AdapterOverride>) element.place = place("match");
  }

  Recipe& recipe_;
  Problems& problems_;
  Substitutions substitutions_;
};

}  // namespace

void bind(const Node& root, Recipe& recipe, Problems& problems) { Binder(recipe, problems).run(root); }

}  // namespace graft::recipe
