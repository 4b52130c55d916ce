#pragma once

#include <string>
#include <string_view>

namespace graft::text::jinja {

/// The text of a string literal's body, with Python's escapes (\n, \x41, \u00e9, \101, …; an unknown one keeps its backslash).
/// On a malformed escape `problem` says what is wrong.
std::string unescape(std::string_view body, std::string* problem);

/// repr(str): Python's quotes and escapes.
std::string quoted(std::string_view text);

}  // namespace graft::text::jinja
