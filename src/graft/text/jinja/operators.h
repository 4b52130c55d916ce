#pragma once

#include <string>

#include "graft/text/jinja/ast.h"
#include "graft/text/jinja/runtime.h"

namespace graft::text::jinja {

/// Python's operators and built-in protocols over Values. All throw Fault where Python raises.

bool truthy(Runtime& runtime, const Value& value);
/// `==`: numbers by value, containers by content, undefined equal to undefined.
bool equal(Runtime& runtime, const Value& left, const Value& right);
/// `<`: numbers, strings by code point, lists and tuples by first difference.
bool less(Runtime& runtime, const Value& left, const Value& right);
bool compare(Runtime& runtime, Comparison comparison, const Value& left, const Value& right);
/// `item in container`.
bool contains(Runtime& runtime, const Value& container, const Value& item);
/// Identity as far as a template can see it: `is sameas`.
bool same(const Value& left, const Value& right);

Value binary(Runtime& runtime, Operator op, const Value& left, const Value& right);
Value negate(Runtime& runtime, const Value& value);
/// `~`: the texts joined; keeps the marks of generation blocks.
Value concatenate(Runtime& runtime, const Values& parts);

/// len(value).
Int length(Runtime& runtime, const Value& value);
/// list(value): an iterator is consumed, a mapping gives its keys, a string its characters, undefined nothing.
Values iterate(Runtime& runtime, const Value& value);
bool is_iterable(const Value& value);
/// list(reversed(value)): Fault for what Python can not reverse.
Values reversed(Runtime& runtime, const Value& value);

/// An index, width or count, brought within ±2^64, where it means the same; Fault unless it is an integer.
Int as_index(const Value& value, const char* what);

/// str(value), repr(value).
std::string to_text(Runtime& runtime, const Value& value);
std::string to_repr(Runtime& runtime, const Value& value);

/// Throws the Fault of using an undefined value.
[[noreturn]] void use_of_undefined(const Value& value);

}  // namespace graft::text::jinja
