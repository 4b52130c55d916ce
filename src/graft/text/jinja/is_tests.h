#pragma once

#include <string>
#include <vector>

#include "graft/text/jinja/runtime.h"

namespace graft::text::jinja {

/// `value is name(arguments)`.
using Test = bool (*)(Runtime&, const Value& value, const Arguments& arguments);

/// jinja2's test of that name; null when there is none.
Test find_test(const std::string& name);
std::vector<std::string> test_names();

}  // namespace graft::text::jinja
