#include "graft/recipe/schema.h"

#include <algorithm>
#include <cmath>

#include "graft/base/strings.h"
#include "graft/recipe/scalars.h"

namespace graft::recipe {
namespace {

template <typename... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <typename... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

/// "data.train.0.limit" → "data.train[].limit"; elements of data.eval are those of data.train.
std::string pattern_of(const std::string& path) {
  std::string pattern;
  for (const std::string& part : split(path, '.')) {
    const bool index = !part.empty() && std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (index) {
      const auto& table = schema_table();
      const auto list = std::find_if(table.begin(), table.end(), [&](const Key& key) { return key.path == pattern; });
      pattern = (list != table.end() && !list->items_of.empty() ? list->items_of : pattern) + "[]";
    } else {
      pattern += (pattern.empty() ? "" : ".") + part;
    }
  }
  return pattern;
}

template <typename List, typename Format>
std::string flow_list(const List& list, Format format) {
  std::vector<std::string> parts;
  for (const auto& entry : list) parts.push_back(format(entry));
  return "[" + join(parts, ", ") + "]";
}

std::string format_integer(const Key& key, int64_t value) {
  constexpr int64_t kGibibyte = int64_t{1} << 30;
  if (key.kind == Kind::kBytes && value >= kGibibyte && value % kGibibyte == 0) return std::to_string(value / kGibibyte) + "GiB";
  return std::to_string(value);
}

/// The section list "{path: a, format: b}" of one element.
std::string format_element(const std::string& list_path, void* element) {
  std::vector<std::string> parts;
  for (const Key* key : children_of(list_path)) parts.push_back(key->leaf() + ": " + format_field(*key, key->field(element)));
  return "{" + join(parts, ", ") + "}";
}

std::string format_elements(const Key& key, const Field& field) {
  std::vector<std::string> parts;
  for_each_element(field, [&](void* element) { parts.push_back(format_element(element_path(key), element)); });
  return parts.empty() && !key.unset.empty() ? key.unset : "[" + join(parts, ", ") + "]";
}

std::string bound_text(const Key& key, double bound) {
  const bool whole = bound == std::floor(bound) && std::abs(bound) < 1e15;
  return key.kind == Kind::kNumber && !whole ? format_number(bound)
         : whole                             ? std::to_string(static_cast<int64_t>(bound))
                                             : format_number(bound);
}

std::string range_text(const Key& key) {
  if (key.least == key.most) return ", always " + bound_text(key, key.least);
  const bool low = std::isfinite(key.least), high = std::isfinite(key.most);
  const std::string from = low ? (key.least_open ? " above " : " from ") + bound_text(key, key.least) : "";
  if (!high) return low && !key.least_open ? " of at least " + bound_text(key, key.least) : from;
  return from + (key.most_open ? " and below " : low && !key.least_open ? " to " : ", at most ") + bound_text(key, key.most);
}

std::string kind_text(const Key& key) {
  switch (key.kind) {
    case Kind::kSection:
      return "section";
    case Kind::kBool:
      return "true | false";
    case Kind::kInteger:
      return "integer";
    case Kind::kCount:
      return "integer (also 4k, 50M, 4Ki)";
    case Kind::kBytes:
      return "size (22GiB, 512MiB, bytes)";
    case Kind::kNumber:
      return "number";
    case Kind::kText:
      return "text";
    case Kind::kChoice:
      return join(key.choices, " | ");
    case Kind::kPath:
      return "path or name (${name} and ${env:NAME} are filled in)";
    case Kind::kDevice:
      return "auto | cpu | cuda | cuda:N";
    case Kind::kTemplate:
      return "model | chatml | file:PATH";
    case Kind::kDate:
      return "date YYYY-MM-DD";
    case Kind::kFrequency:
      return "frequency (200, 200 steps, 3%, 1 epoch)";
    case Kind::kShare:
      return "number or percentage";
    case Kind::kTextList:
      return key.choices.empty() ? (key.word_as_list ? "one word or a list of text" : "list of text")
                                 : "list of " + join(key.choices, " | ");
    case Kind::kIntegerList:
      return "list of integers";
    case Kind::kNumberList:
      return "list of two numbers";
    case Kind::kItems:
      return "list of sections";
  }
  return "";
}

}  // namespace

std::string Key::leaf() const {
  const size_t dot = path.rfind('.');
  return dot == std::string::npos ? path : path.substr(dot + 1);
}

std::string Key::parent() const {
  const size_t dot = path.rfind('.');
  return dot == std::string::npos ? "" : path.substr(0, dot);
}

const Key* find_key(const std::string& path) {
  const std::string pattern = pattern_of(path);
  for (const Key& key : schema_table()) {
    if (key.path == pattern) return &key;
  }
  return nullptr;
}

std::vector<const Key*> children_of(const std::string& parent) {
  std::vector<const Key*> children;
  for (const Key& key : schema_table()) {
    if (key.parent() == parent) children.push_back(&key);
  }
  return children;
}

std::string element_path(const Key& list) { return (list.items_of.empty() ? list.path : list.items_of) + "[]"; }

std::string nearest_key(const std::string& parent, const std::string& leaf) {
  for (const Key& key : schema_table()) {
    if (std::find(key.elsewhere.begin(), key.elsewhere.end(), leaf) != key.elsewhere.end())
      return key.parent() == parent ? key.leaf() : key.path;
  }
  for (const Key& key : schema_table()) {
    if (key.leaf() == leaf) return key.path;
  }
  std::vector<std::string> siblings;
  for (const Key* key : children_of(parent)) siblings.push_back(key->leaf());
  const std::string sibling = nearest_name(leaf, siblings);
  if (!sibling.empty()) return sibling;
  std::vector<std::string> names;
  for (const Key& key : schema_table()) names.push_back(key.leaf());
  const std::string name = nearest_name(leaf, names);
  for (const Key& key : schema_table()) {
    if (!name.empty() && key.leaf() == name) return key.path;
  }
  // "lora_rnk": the last part alone is a slip of a key of this section.
  const size_t underscore = leaf.rfind('_');
  return underscore == std::string::npos ? "" : nearest_name(leaf.substr(underscore + 1), siblings);
}

void for_each_element(const Field& field, const std::function<void(void*)>& visit) {
  const auto each = [&](auto* list) {
    for (auto& element : *list) visit(&element);
  };
  if (const auto* sources = std::get_if<std::vector<DataSource>*>(&field)) each(*sources);
  if (const auto* overrides = std::get_if<std::vector<AdapterOverride>*>(&field)) each(*overrides);
  if (const auto* exports = std::get_if<std::vector<ExportItem>*>(&field)) each(*exports);
}

std::string format_field(const Key& key, const Field& field) {
  const auto list = [&](const auto& values, auto format) {
    return values.empty() && !key.unset.empty() ? key.unset : flow_list(values, format);
  };
  return std::visit(Overloaded{
                        [&](std::monostate) { return key.unset; },
                        [](bool* value) -> std::string { return *value ? "true" : "false"; },
                        [&](int64_t* value) { return format_integer(key, *value); },
                        [](double* value) { return format_number(*value); },
                        [&](std::string* value) { return value->empty() && !key.unset.empty() ? key.unset : format_text(*value); },
                        [&](std::optional<int64_t>* value) { return value->has_value() ? format_integer(key, **value) : key.unset; },
                        [&](std::optional<double>* value) { return value->has_value() ? format_number(**value) : key.unset; },
                        [](Frequency* value) { return format_frequency(*value); },
                        [](Share* value) { return format_share(*value); },
                        [&](std::vector<std::string>* value) {
                          const bool bare = key.word_as_list && value->size() == 1;
                          return bare ? format_text(value->front()) : list(*value, format_text);
                        },
                        [&](std::vector<int64_t>* value) { return list(*value, [](int64_t entry) { return std::to_string(entry); }); },
                        [&](std::vector<double>* value) { return list(*value, format_number); },
                        [&](std::vector<DataSource>*) { return format_elements(key, field); },
                        [&](std::vector<AdapterOverride>*) { return format_elements(key, field); },
                        [&](std::vector<ExportItem>*) { return format_elements(key, field); },
                    },
                    field);
}

std::string describe_type(const Key& key) {
  std::string text = kind_text(key) + range_text(key);
  if (!key.unset.empty()) text += " | " + key.unset;
  return text;
}

std::string default_text(const Key& key) {
  if (!key.has_field()) return key.unset;
  Recipe recipe;
  DataSource source;
  AdapterOverride over;
  ExportItem item;
  void* owner = &recipe;
  if (starts_with(key.path, "data.train[]")) owner = &source;
  if (starts_with(key.path, "adapter.overrides[]")) owner = &over;
  if (starts_with(key.path, "export[]")) owner = &item;
  return format_field(key, key.field(owner));
}

}  // namespace graft::recipe
