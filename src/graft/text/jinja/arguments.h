#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "graft/text/jinja/runtime.h"

namespace graft::text::jinja {

/// The arguments of a call laid out by parameter name. Faults like Python's TypeError: too many, unknown, twice, missing.
class Bound {
 public:
  /// The first `required` names must be given.
  Bound(const std::string& function, const Arguments& arguments, std::initializer_list<const char*> names, size_t required = 0);

  bool has(size_t parameter) const { return given_[parameter]; }
  const Value& operator[](size_t parameter) const { return values_[parameter]; }
  /// The value, or `standard` when the parameter was left out.
  Value value(size_t parameter, Value standard = Value()) const { return given_[parameter] ? values_[parameter] : standard; }
  bool is_none(size_t parameter) const { return values_[parameter].is(Type::kNone); }
  Int integer(size_t parameter, Int standard) const;
  const std::string& text(size_t parameter) const;  ///< Fault unless a str
  bool flag(Runtime& runtime, size_t parameter, bool standard) const;

 private:
  std::string function_;
  std::vector<std::string> names_;
  Values values_;
  std::vector<bool> given_;
};

}  // namespace graft::text::jinja
