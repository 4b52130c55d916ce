#include "graft/recipe/write.h"

#include <algorithm>

#include "graft/base/strings.h"
#include "graft/recipe/schema.h"

namespace graft::recipe {
namespace {

class Writer {
 public:
  Writer(Recipe& recipe, const WriteOptions& options) : recipe_(recipe), options_(options) {}

  std::string run() {
    for (const Key* key : children_of("")) {
      if (key->path == "resolved") continue;
      if (options_.comments && !children_of(element_path(*key)).empty() != key->is_section()) text_ += "\n";
      write(*key, 0);
    }
    return std::move(text_);
  }

 private:
  void line(int depth, const std::string& content, const std::string& doc) {
    text_ += std::string(static_cast<size_t>(depth) * 2, ' ') + content;
    if (options_.comments && !doc.empty()) text_ += "  # " + doc;
    text_ += "\n";
  }

  void write(const Key& key, int depth) {
    if (key.is_section()) {
      line(depth, key.leaf() + ":", key.doc);
      for (const Key* child : children_of(key.path)) write(*child, depth + 1);
    } else if (key.has_field()) {
      write_value(key, depth);
    } else if (options_.comments) {
      line(depth, key.leaf() + ": " + key.unset, key.doc);
    }
  }

  void write_value(const Key& key, int depth) {
    const Field field = key.field(&recipe_);
    const Key* form = form_in_use(key);
    if (form != nullptr) {
      line(depth, key.leaf() + ": {" + form->leaf() + ": " + format_field(*form, form->field(&recipe_)) + "}", key.doc);
    } else if (key.kind == Kind::kItems && format_field(key, field).front() == '[' && format_field(key, field) != "[]") {
      line(depth, key.leaf() + ":", key.doc);
      for_each_element(field, [&](void* element) { write_element(key, element, depth + 1); });
    } else {
      line(depth, key.leaf() + ": " + format_field(key, field), key.doc);
      if (options_.comments && key.kind == Kind::kItems && key.items_of.empty()) describe_elements(key, depth + 1);
    }
    if (options_.comments && form == nullptr) describe_forms(key, depth);
  }

  /// `every` of `checkpointing: {every: 2}`: in use when the parent's word is its name, or, for a list, when it has a value.
  const Key* form_in_use(const Key& key) {
    const Field parent = key.field(&recipe_);
    for (const Key* form : children_of(key.path)) {
      if (!form->form) continue;
      const Field field = form->field(&recipe_);
      if (auto* const* word = std::get_if<std::string*>(&parent); word != nullptr && **word == form->leaf()) return form;
      if (auto* const* value = std::get_if<std::optional<double>*>(&field); value != nullptr && (*value)->has_value()) return form;
    }
    return nullptr;
  }

  void write_element(const Key& list, void* element, int depth) {
    bool first = true;
    for (const Key* key : children_of(element_path(list))) {
      line(depth, std::string(first ? "- " : "  ") + key->leaf() + ": " + format_field(*key, key->field(element)), key->doc);
      first = false;
    }
  }

  void describe_elements(const Key& list, int depth) {
    for (const Key* key : children_of(element_path(list))) {
      const std::string value = key->example.empty() ? default_text(*key) : key->example;
      line(depth, "# each entry: " + key->leaf() + ": " + value, key->doc);
    }
  }

  void describe_forms(const Key& key, int depth) {
    for (const Key* form : children_of(key.path)) {
      if (form->form) line(depth, "# or " + key.leaf() + ": {" + form->leaf() + ": …}", form->doc);
    }
  }

  Recipe& recipe_;
  WriteOptions options_;
  std::string text_;
};

}  // namespace

std::string write_yaml(const Recipe& recipe, const WriteOptions& options) {
  Recipe copy = recipe;  // rows hand out mutable fields
  return Writer(copy, options).run();
}

}  // namespace graft::recipe
