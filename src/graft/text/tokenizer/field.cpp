#include "graft/text/tokenizer/field.h"

#include <algorithm>

#include "graft/base/error.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"
#include "graft/text/tokenizer/unicode.h"

namespace graft::text::tok {

void Field::fail(const std::string& why) const { throw DataError(why).at(path_); }

bool Field::has(const char* name) const {
  if (!value_->is_object()) fail(std::string("expected an object, not ") + value_->type_name());
  const auto found = value_->find(name);
  return found != value_->end() && !found->is_null();
}

Field Field::at(const char* name) const {
  if (!value_->is_object()) fail(std::string("expected an object, not ") + value_->type_name());
  const auto found = value_->find(name);
  if (found == value_->end()) fail("\"" + std::string(name) + "\" is missing");
  return {*found, path_ + "." + name};
}

std::vector<Field> Field::items() const {
  if (!value_->is_array()) fail(std::string("expected a list, not ") + value_->type_name());
  std::vector<Field> all;
  all.reserve(value_->size());
  for (size_t i = 0; i < value_->size(); ++i) all.emplace_back((*value_)[i], path_ + "[" + std::to_string(i) + "]");
  return all;
}

std::vector<std::string> Field::names() const {
  if (!value_->is_object()) fail(std::string("expected an object, not ") + value_->type_name());
  std::vector<std::string> all;
  for (const auto& member : value_->items()) all.push_back(member.key());
  return all;
}

std::string Field::string() const {
  if (!value_->is_string()) fail(std::string("expected a string, not ") + value_->type_name());
  return value_->get<std::string>();
}

bool Field::boolean() const {
  if (!value_->is_boolean()) fail(std::string("expected true or false, not ") + value_->type_name());
  return value_->get<bool>();
}

double Field::number() const {
  if (!value_->is_number()) fail(std::string("expected a number, not ") + value_->type_name());
  return value_->get<double>();
}

int64_t Field::integer(int64_t lowest, int64_t highest) const {
  const bool fits = value_->is_number_unsigned() ? value_->get<uint64_t>() <= static_cast<uint64_t>(highest) : value_->is_number_integer();
  if (!fits || value_->get<int64_t>() < lowest || value_->get<int64_t>() > highest) {
    fail("expected a whole number from " + std::to_string(lowest) + " to " + std::to_string(highest) + ", not " +
         dump_json(*value_).substr(0, 40));
  }
  return value_->get<int64_t>();
}

char32_t Field::character() const {
  const std::string text = string();
  if (count_characters(text) != 1) fail("expected exactly one character, not \"" + text.substr(0, 40) + "\"");
  return decode_character(text.data()).code;
}

size_t Field::choice(const char* what, std::initializer_list<const char*> choices) const {
  const std::string value = string();
  const auto found = std::find(choices.begin(), choices.end(), value);
  if (found != choices.end()) return static_cast<size_t>(found - choices.begin());
  const std::vector<std::string> names(choices.begin(), choices.end());
  throw DataError(std::string("unknown ") + what + " \"" + value + "\"")
      .at(path_)
      .nearest(nearest_name(value, names))
      .hint("graft knows " + enumerate(names));
}

void Field::expect_only(std::initializer_list<const char*> members) const {
  for (const std::string& name : names()) {
    if (name == "type" || std::find(members.begin(), members.end(), name) != members.end()) continue;
    log::warning(path_ + "." + name + " is not a setting of this component and is ignored");
  }
}

}  // namespace graft::text::tok
