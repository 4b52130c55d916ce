#include "graft/base/strings.h"
#include "graft/recipe/reference.h"
#include "graft/recipe/schema.h"

namespace graft::recipe {
namespace {

std::string one_line(const Key& key) {
  const std::string standard = default_text(key);
  const std::string note = key.required ? ", required" : standard.empty() || key.form ? "" : ", default " + standard;
  return "  " + key.path + ": " + describe_type(key) + note;
}

std::string explain_section(const Key& section, const std::string& prefix) {
  std::string text = section.path + ": " + section.doc + "\n";
  for (const Key& key : schema_table()) {
    if (starts_with(key.path, prefix + ".") && !key.is_section()) text += one_line(key) + "\n      " + key.doc + "\n";
  }
  return text;
}

std::string explain_key(const Key& key) {
  std::string text = key.path + ": " + describe_type(key) + "\n  " + key.doc + "\n";
  if (key.required) {
    text += "  Required.\n";
  } else if (!default_text(key).empty()) {
    text += "  Default: " + default_text(key) + "\n";
  }
  if (!key.aliases.empty()) {
    std::vector<std::string> spellings;
    for (const auto& [spelling, choice] : key.aliases) spellings.push_back(spelling + " = " + choice);
    text += "  Also spelled: " + join(spellings, ", ") + "\n";
  }
  if (!key.later.empty()) text += "  Not in this version: " + join(key.later, ", ") + "\n";
  for (const Key* form : children_of(key.path)) {
    if (form->form) text += "  Or " + key.leaf() + ": {" + form->leaf() + ": …}, " + describe_type(*form) + ". " + form->doc + "\n";
  }
  if (!key.elsewhere.empty()) text += "  Elsewhere called: " + join(key.elsewhere, ", ") + "\n";
  if (!key.changes_result) text += "  Not part of a run's identity.\n";
  if (key.kind == Kind::kItems) {
    for (const Key* child : children_of(element_path(key))) text += one_line(*child) + "\n      " + child->doc + "\n";
  }
  return text;
}

}  // namespace

std::string explain(const std::string& name) {
  if (name.empty()) {
    std::string text;
    for (const Key& key : schema_table())
      text += key.is_section() ? "\n" + key.path + ": " + key.doc + "\n" : one_line(key) + "\n      " + key.doc + "\n";
    return text;
  }
  if (const Key* key = find_key(name)) return key->is_section() ? explain_section(*key, key->path) : explain_key(*key);
  const size_t dot = name.rfind('.');
  const std::string parent = dot == std::string::npos ? "" : name.substr(0, dot);
  const Key* section = parent.empty() ? nullptr : find_key(parent);
  const std::string nearest = nearest_key(section == nullptr ? "" : section->path, dot == std::string::npos ? name : name.substr(dot + 1));
  const bool sibling = section != nullptr && !nearest.empty() && nearest.find('.') == std::string::npos;
  throw UsageError("there is no recipe key \"" + name + "\"")
      .nearest(sibling ? parent + "." + nearest : nearest)
      .hint("graft recipe explain lists all keys");
}

}  // namespace graft::recipe
