#pragma once

#include <string>
#include <vector>

#include "graft/text/jinja/runtime.h"

namespace graft::text::jinja {

/// The bound method `self.name` of a str; false when str has none of that name. A method that Python has and graft does not
/// (encode, translate, maketrans) is a Fault when called.
bool find_string_method(Runtime& runtime, const Value& self, const std::string& name, Value* result);

/// The same for list, tuple, dict, numbers. Methods that change the object are undefined, as the sandbox makes them.
bool find_container_method(Runtime& runtime, const Value& self, const std::string& name, Value* result);

/// str.split(separator, maxsplit) and rsplit; an empty optional separator means white space.
std::vector<std::string> split_text(Runtime& runtime, const std::string& text, const std::string* separator, Int limit, bool from_right);

/// str.splitlines(keepends).
std::vector<std::string> split_lines(const std::string& text, bool keep_ends);

/// str.replace(old, new, count); a negative count means all.
std::string replace_text(Runtime& runtime, const std::string& text, const std::string& old, const std::string& replacement, Int count);

/// str.strip(characters) and its halves.
std::string strip_characters(const std::string& text, const std::string& characters, bool left, bool right);

/// str.center, ljust, rjust: `fill` is one character.
std::string justify(Runtime& runtime, const String& text, Int width, const std::string& fill, char side);

}  // namespace graft::text::jinja
