#include "graft/recipe/value.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "graft/base/strings.h"
#include "graft/recipe/scalars.h"

namespace graft::recipe {
namespace {

std::string shown(const std::string& text) { return '"' + shortened(text) + '"'; }

std::string what_was_found(const Node& node) {
  if (node.is_map()) return "a section";
  if (node.is_list()) return "a list";
  if (node.is_null()) return "nothing";
  return shown(node.text);
}

ValueError wrong_type(const Key& key, const Node& node) {
  ValueError error{"expected " + describe_type(key) + ", found " + what_was_found(node), "", ""};
  if (node.is_null())
    error.hint = "give a value, or take the line out to get the default" + (key.required ? std::string() : " (" + default_text(key) + ")");
  if (node.is_scalar() && node.quoted) error.hint = "take the quotes off: in quotes it is text";
  return error;
}

bool has_control_character(const std::string& text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

/// A scalar that is to be text. Numbers and booleans are fine where any text is (a run may be called 42).
std::string text_of(const Key& key, const Node& node) {
  if (!node.is_scalar()) throw wrong_type(key, node);
  if (node.text.empty()) throw ValueError{"is empty", "", key.unset.empty() ? "give a value" : "write " + key.unset};
  if (has_control_character(node.text)) throw ValueError{"contains a line break or control character", "", "write it on one line"};
  const bool is_path = key.kind == Kind::kPath || (key.kind == Kind::kTemplate && starts_with(node.text, "file:"));
  if (!is_path && node.text.find("${") != std::string::npos) {
    throw ValueError{"${…} is filled in only in paths and names", "", "write the value out"};
  }
  return node.text;
}

/// Values written with a unit are text to every YAML writer, which may put them in quotes: "200 steps", "3%", "22GiB".
bool has_unit(const Key& key, const std::string& text) {
  const bool takes_unit = key.kind == Kind::kFrequency || key.kind == Kind::kShare || key.kind == Kind::kBytes || key.kind == Kind::kCount;
  return takes_unit && !text.empty() && !looks_like_number(text) && text.find_first_of("0123456789") == 0;
}

/// A plain scalar that is to be a number or boolean.
const std::string& plain_of(const Key& key, const Node& node) {
  if (!node.is_scalar() || (node.quoted && !has_unit(key, node.text))) throw wrong_type(key, node);
  return node.text;
}

std::string substituted(const std::string& text, const Substitutions& substitutions) {
  std::string result;
  for (size_t i = 0; i < text.size();) {
    if (text.compare(i, 2, "${") != 0) {
      result += text[i++];
      continue;
    }
    const size_t end = text.find('}', i);
    if (end == std::string::npos) throw ValueError{"${ has no closing }", "", "write ${name} or ${env:NAME}"};
    const std::string what = text.substr(i + 2, end - i - 2);
    std::string value;
    if (what == "name") {
      if (substitutions.name.empty()) throw ValueError{"${name} is used but the recipe has no name", "", "add  name: …  to the recipe"};
      value = substitutions.name;
    } else if (starts_with(what, "env:")) {
      const char* variable = std::getenv(what.substr(4).c_str());
      if (variable == nullptr || *variable == '\0')
        throw ValueError{"environment variable " + shortened(what.substr(4)) + " is not set", "", "set it, or write the value out"};
      value = variable;
    } else {
      throw ValueError{"${" + shortened(what) + "} is unknown", nearest_name(what.substr(0, 80), {"name", "env:NAME"}),
                       "only ${name} and ${env:NAME} are filled in"};
    }
    if (value.find("${") != std::string::npos || has_control_character(value) || !is_valid_utf8(value)) {
      throw ValueError{"${" + what + "} stands for text that cannot be part of a path", "", "change its value"};
    }
    result += value;
    i = end + 1;
  }
  return result;
}

void check_range(const Key& key, double value, const std::string& text) {
  const bool below = key.least_open ? value <= key.least : value < key.least;
  const bool above = key.most_open ? value >= key.most : value > key.most;
  if (below || above)
    throw ValueError{text + " is out of range: expected " + describe_type(key), "",
                     key.path == "schema" ? "this graft reads schema 1" : ""};
}

std::string choice_of(const Key& key, const std::string& text) {
  const auto alias = key.aliases.find(text);
  const std::string word = alias == key.aliases.end() ? text : alias->second;
  if (std::find(key.choices.begin(), key.choices.end(), word) != key.choices.end()) return word;
  if (std::find(key.later.begin(), key.later.end(), word) != key.later.end()) {
    throw ValueError{word + " is not in this version of graft", "", "use " + join(key.choices, " | ")};
  }
  std::vector<std::string> candidates = key.choices;
  for (const auto& [spelling, choice] : key.aliases) candidates.push_back(spelling);
  std::string hint;
  for (const Key* form : children_of(key.path)) {
    if (form->form && form->leaf() == text) hint = "write  " + key.leaf() + ": {" + form->leaf() + ": …}";
  }
  throw ValueError{shown(text) + " is not one of " + join(key.choices, " | "), hint.empty() ? nearest_name(text, candidates) : "", hint};
}

std::string device_of(const std::string& text) {
  if (text == "auto" || text == "cpu" || text == "cuda") return text;
  if (starts_with(text, "cuda:")) {
    const std::string index = text.substr(5);
    if (!index.empty() && index.size() <= 3 && index.find_first_not_of("0123456789") == std::string::npos)
      return "cuda:" + std::to_string(std::stoi(index));
  }
  throw ValueError{shown(text) + " is not a device", nearest_name(text, {"auto", "cpu", "cuda", "cuda:0"}),
                   "use auto, cpu, cuda or cuda:N"};
}

std::string template_of(const std::string& text) {
  if (text == "model" || text == "chatml") return text;
  if (starts_with(text, "file:") && text.size() > 5) return text;
  throw ValueError{shown(text) + " is not a template", nearest_name(text, {"model", "chatml"}), "use model, chatml or file:PATH"};
}

std::string date_of(const std::string& text) {
  const bool shape = text.size() == 10 && text[4] == '-' && text[7] == '-' &&
                     (text.substr(0, 4) + text.substr(5, 2) + text.substr(8)).find_first_not_of("0123456789") == std::string::npos;
  if (shape) {
    const int year = std::stoi(text.substr(0, 4)), month = std::stoi(text.substr(5, 2)), day = std::stoi(text.substr(8));
    const int february = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
    const int days[] = {31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1]) return text;
  }
  throw ValueError{shown(text) + " is not a date", "", "write it as 2026-01-31"};
}

int64_t integer_of(const Key& key, const Node& node) {
  const std::string& text = plain_of(key, node);
  const int64_t value = key.kind == Kind::kCount ? parse_count(text) : key.kind == Kind::kBytes ? parse_bytes(text) : parse_integer(text);
  check_range(key, static_cast<double>(value), text);
  return value;
}

double number_of(const Key& key, const Node& node) {
  const double value = parse_number(plain_of(key, node));
  check_range(key, value, node.text);
  return value;
}

std::string string_of(const Key& key, const Node& node, const Substitutions& substitutions) {
  std::string text = text_of(key, node);
  switch (key.kind) {
    case Kind::kChoice:
      if (!text.empty() && !node.quoted && (looks_like_number(text) || looks_like_bool(text)))
        throw ValueError{shown(text) + " is not one of " + join(key.choices, " | "), "", ""};
      return choice_of(key, text);
    case Kind::kDevice:
      return device_of(text);
    case Kind::kTemplate:
      return template_of(substituted(text, substitutions));
    case Kind::kDate:
      return date_of(text);
    case Kind::kPath:
      if (starts_with(text, "~/")) throw ValueError{"~ is not filled in", "", "write ${env:HOME}" + text.substr(1)};
      return substituted(text, substitutions);
    default:
      return text;
  }
}

std::vector<std::string> texts_of(const Key& key, const Node& node) {
  if (node.is_scalar() && key.word_as_list) return {text_of(key, node)};
  if (!node.is_list()) {
    ValueError error = wrong_type(key, node);
    if (node.is_scalar()) error.hint = "write it as a list: [" + shortened(node.text) + "]";
    throw error;
  }
  std::vector<std::string> values;
  for (const Node& item : node.items) {
    const std::string text = text_of(key, item);
    values.push_back(key.choices.empty() ? text : choice_of(key, text));
    if (std::count(values.begin(), values.end(), values.back()) > 1)
      throw ValueError{shown(text) + " is listed twice", "", "keep one of them"};
  }
  return values;
}

template <typename Value, typename Read>
std::vector<Value> numbers_of(const Key& key, const Node& node, Read read) {
  if (!node.is_list()) throw wrong_type(key, node);
  if (node.items.empty()) throw ValueError{"the list is empty", "", key.unset.empty() ? "give a value" : "write " + key.unset};
  std::vector<Value> values;
  for (const Node& item : node.items) values.push_back(read(key, item));
  return values;
}

void refuse_later(const Key& key, const std::string& value) {
  if (key.kind == Kind::kChoice || std::find(key.later.begin(), key.later.end(), value) == key.later.end()) return;
  throw ValueError{value + " is not in this version of graft", "", "leave it at " + default_text(key)};
}

struct Reader {
  const Key& key;
  const Node& node;
  const Substitutions& substitutions;

  void operator()(std::monostate) const {}
  void operator()(bool* field) const { *field = parse_bool(plain_of(key, node)); }
  void operator()(int64_t* field) const { *field = integer_of(key, node); }
  void operator()(std::optional<int64_t>* field) const { *field = integer_of(key, node); }
  void operator()(double* field) const { *field = number_of(key, node); }
  void operator()(std::optional<double>* field) const { *field = number_of(key, node); }
  void operator()(std::string* field) const { *field = string_of(key, node, substitutions); }
  void operator()(Frequency* field) const {
    const Frequency value = parse_frequency(plain_of(key, node));
    check_range(key, value.value, node.text);
    *field = value;
  }
  void operator()(Share* field) const {
    const Share value = parse_share(plain_of(key, node));
    check_range(key, value.value, node.text);
    *field = value;
  }
  void operator()(std::vector<std::string>* field) const { *field = texts_of(key, node); }
  void operator()(std::vector<int64_t>* field) const { *field = numbers_of<int64_t>(key, node, integer_of); }
  void operator()(std::vector<double>* field) const {
    auto values = numbers_of<double>(key, node, number_of);
    if (values.size() != 2) throw ValueError{"expected two numbers, found " + std::to_string(values.size()), "", "write [0.9, 0.999]"};
    *field = std::move(values);
  }
  template <typename Element>
  void operator()(std::vector<Element>*) const {}  // lists of sections: bind.cpp
};

/// The field's "no value".
struct Unsetter {
  void operator()(std::string* field) const { field->clear(); }
  template <typename Value>
  void operator()(std::optional<Value>* field) const {
    field->reset();
  }
  template <typename Value>
  void operator()(std::vector<Value>* field) const {
    field->clear();
  }
  template <typename Other>
  void operator()(Other) const {}
};

}  // namespace

void read_value(const Key& key, const Node& node, const Substitutions& substitutions, const Field& field) {
  const bool unset =
      node.is_null() ? key.unset == "null" : node.is_scalar() && !node.quoted && !key.unset.empty() && node.text == key.unset;
  if (unset) {
    std::visit(Unsetter{}, field);
    return;
  }
  if (node.is_map()) throw wrong_type(key, node);
  std::visit(Reader{key, node, substitutions}, field);
  refuse_later(key, format_field(key, field));
}

}  // namespace graft::recipe
