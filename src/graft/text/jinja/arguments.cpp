#include "graft/text/jinja/arguments.h"

#include <algorithm>

#include "graft/base/strings.h"
#include "graft/text/jinja/operators.h"

namespace graft::text::jinja {

Bound::Bound(const std::string& function, const Arguments& arguments, std::initializer_list<const char*> names, size_t required)
    : function_(function), names_(names.begin(), names.end()), values_(names.size()), given_(names.size(), false) {
  if (arguments.positional.size() > names_.size()) {
    throw Fault(function + "() takes at most " + std::to_string(names_.size()) + " arguments (" +
                std::to_string(arguments.positional.size()) + " given)");
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    values_[i] = arguments.positional[i];
    given_[i] = true;
  }
  for (const auto& [name, value] : arguments.keywords) {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end()) {
      const std::string nearest = nearest_name(name, names_);
      throw Fault(function + "() got an unexpected keyword argument '" + name + "'" +
                  (nearest.empty() ? "" : "; nearest: '" + nearest + "'"));
    }
    const auto place = static_cast<size_t>(found - names_.begin());
    if (given_[place]) throw Fault(function + "() got multiple values for argument '" + name + "'");
    values_[place] = value;
    given_[place] = true;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!given_[i]) throw Fault(function + "() misses the argument '" + names_[i] + "'");
  }
}

Int Bound::integer(size_t parameter, Int standard) const {
  if (!given_[parameter]) return standard;
  if (values_[parameter].is(Type::kUndefined)) use_of_undefined(values_[parameter]);
  return as_index(values_[parameter], (function_ + "(): " + names_[parameter]).c_str());
}

const std::string& Bound::text(size_t parameter) const {
  const Value& value = values_[parameter];
  if (!value.is(Type::kString)) throw Fault(function_ + "(): " + names_[parameter] + " must be str, not " + type_name(value));
  return value.text();
}

bool Bound::flag(Runtime& runtime, size_t parameter, bool standard) const {
  return given_[parameter] ? truthy(runtime, values_[parameter]) : standard;
}

}  // namespace graft::text::jinja
