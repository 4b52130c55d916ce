#pragma once

#include <string>

#include "graft/text/jinja/runtime.h"

namespace graft::text::jinja {

/// `value.name`: a known method or attribute, else the mapping's key, else undefined. Nothing else of a value can be reached;
/// methods that would change a list or a dict exist but are undefined, as in the sandbox.
Value get_attribute(Runtime& runtime, const Value& value, const std::string& name);

/// `value[key]`: the element, else (for a string key) the attribute, else undefined.
Value get_item(Runtime& runtime, const Value& value, const Value& key);

/// `value[start:stop:step]`; none stands for a bound left out.
Value get_slice(Runtime& runtime, const Value& value, const Value& start, const Value& stop, const Value& step);

/// value(arguments): a function, a macro or a recursive loop.
Value call(Runtime& runtime, const Value& callee, Arguments& arguments);

}  // namespace graft::text::jinja
