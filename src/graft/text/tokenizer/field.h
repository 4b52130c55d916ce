#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "graft/base/json.h"

namespace graft::text::tok {

/// A value of tokenizer.json together with its JSON path, so that every error can name the place:
/// "tokenizer.json: pre_tokenizer.pretokenizers[0].pattern". Reading something of the wrong type is a DataError.
class Field {
 public:
  Field(const Json& value, std::string path) : value_(&value), path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  bool is_null() const { return value_->is_null(); }
  bool is_array() const { return value_->is_array(); }
  bool is_string() const { return value_->is_string(); }

  /// Whether the object has this member and it is not null.
  bool has(const char* name) const;
  /// The member; DataError when it is missing.
  Field at(const char* name) const;
  /// The elements of an array.
  std::vector<Field> items() const;
  /// Member names of an object.
  std::vector<std::string> names() const;

  std::string string() const;
  bool boolean() const;
  double number() const;
  int64_t integer(int64_t lowest, int64_t highest) const;
  /// A string of exactly one character.
  char32_t character() const;

  bool boolean(const char* name) const { return at(name).boolean(); }
  bool boolean(const char* name, bool when_absent) const { return has(name) ? at(name).boolean() : when_absent; }
  std::string string(const char* name) const { return at(name).string(); }
  std::string string(const char* name, const char* when_absent) const { return has(name) ? at(name).string() : when_absent; }

  /// The index of the value (a string) in `choices`; DataError with the nearest one for anything else. `what` is "behavior" or the like.
  size_t choice(const char* what, std::initializer_list<const char*> choices) const;
  /// Warns of members that are none of these: HF `tokenizers` ignores them, and so does graft, but not silently.
  void expect_only(std::initializer_list<const char*> members) const;

  [[noreturn]] void fail(const std::string& why) const;

 private:
  const Json* value_;
  std::string path_;
};

}  // namespace graft::text::tok
