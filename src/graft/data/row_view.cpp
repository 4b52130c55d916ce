#include "graft/data/row_view.h"

#include <algorithm>
#include <array>
#include <utility>

#include "graft/base/error.h"
#include "graft/base/strings.h"
#include "graft/data/formats.h"

namespace graft::data {
namespace {

constexpr size_t kKeysShown = 12;

std::vector<std::string> keys_of(const Json& row) {
  std::vector<std::string> keys;
  for (const auto& item : row.items()) {
    if (keys.size() == kKeysShown) {
      keys.emplace_back("…");
      break;
    }
    keys.push_back(item.key().size() <= 40 ? item.key() : item.key().substr(0, 40) + "…");
  }
  return keys;
}

bool has_all(const Json& row, const std::vector<std::string>& names) {
  return std::all_of(names.begin(), names.end(), [&](const std::string& name) { return row.contains(name); });
}

/// Pairs of names that data sets use for a prompt and its answer.
constexpr std::array<std::pair<const char*, const char*>, 9> kPromptNames = {{{"question", "answer"},
                                                                              {"instruction", "response"},
                                                                              {"instruction", "output"},
                                                                              {"input", "output"},
                                                                              {"query", "response"},
                                                                              {"prompt", "response"},
                                                                              {"prompt", "answer"},
                                                                              {"question", "response"},
                                                                              {"problem", "solution"}}};

/// What to write in the recipe for a row like this one, or "".
std::string remedy(const Json& row, const Format& format, const std::string& missing) {
  for (const auto& other : formats())
    if (other.name != format.name && has_all(row, other.required)) return "set format: " + other.name;
  for (const auto& [prompt, completion] : kPromptNames)
    if (row.contains(prompt) && row.contains(completion))
      return std::string("set format: prompt_completion with fields: [prompt=") + prompt + ", completion=" + completion + "]";
  if (row.contains("conversations") && format.name == "messages") return "set format: sharegpt, or fields: [messages=conversations]";
  return "say where it is with fields: [" + missing + "=<key>], or use another format (" + enumerate(format_names()) + ")";
}

}  // namespace

std::string type_name(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return "null";
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return "an array";
    case Json::value_t::string:
      return "a string";
    case Json::value_t::boolean:
      return "true or false";
    case Json::value_t::number_float:
      return "a fraction";
    default:
      return "a number";
  }
}

RowView::RowView(const Json& row, const Format& format, const std::map<std::string, std::string>& fields)
    : row_(row), format_(format), fields_(fields) {
  if (!row.is_object()) throw DataError("the row is " + type_name(row) + ", expected an object with " + enumerate(format.required));
}

std::string RowView::key(const std::string& field) const {
  const auto mapped = fields_.find(field);
  return mapped == fields_.end() ? field : mapped->second;
}

const Json* RowView::find(const std::string& field) const {
  const auto found = row_.find(key(field));
  return found == row_.end() || found->is_null() ? nullptr : &*found;
}

const Json& RowView::require(const std::string& field) const {
  if (const Json* value = find(field)) return *value;
  const std::string name = key(field);
  DataError error("the row has no \"" + name + "\", which format " + format_.name + " needs; found keys: " + enumerate(keys_of(row_)));
  error.nearest(nearest_name(name, keys_of(row_)));
  error.hint(row_.contains(name) ? "the value is null: fill it in or leave the row out (on_bad_sample: skip)"
                                 : remedy(row_, format_, field));
  throw error;
}

const std::string& RowView::require_string(const std::string& field) const {
  const Json& value = require(field);
  if (!value.is_string()) throw DataError("\"" + key(field) + "\" is " + type_name(value) + ", expected a string");
  return value.get_ref<const std::string&>();
}

std::string RowView::string_or_empty(const std::string& field) const {
  return find(field) == nullptr ? std::string() : require_string(field);
}

}  // namespace graft::data
