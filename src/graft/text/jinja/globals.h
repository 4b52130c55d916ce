#pragma once

#include <string>

#include "graft/text/jinja/runtime.h"

namespace graft::text::jinja {

/// range, dict, namespace, cycler, joiner, raise_exception, strftime_now; false for any other name.
bool find_global(Runtime& runtime, const std::string& name, Value* result);

/// Sets an attribute; Fault for names that begin with an underscore, as transformers has it.
void set_namespace_attribute(Namespace& space, const std::string& name, const Value& value);

/// date.strftime(format) of midnight on YYYY-MM-DD, in the C locale.
std::string format_date(const std::string& date, const std::string& format);

/// True for a date that exists.
bool is_date(const std::string& date);

}  // namespace graft::text::jinja
