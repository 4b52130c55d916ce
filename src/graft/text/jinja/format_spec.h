#pragma once

#include <string>
#include <string_view>

#include "graft/text/jinja/runtime.h"

namespace graft::text::jinja {

/// The fields of a format specification, shared by % and str.format.
struct FormatSpec {
  std::string fill = " ";
  char align = '\0';  ///< < > ^ =, or none given
  char sign = '-';
  bool alternate = false, grouped = false;
  char grouping = ',';
  Int width = 0;
  Int precision = -1;
  char type = '\0';
};

/// A number in the spec's type (d b o x X c e E f F g G % n, none). Fault for a type that does not fit the value.
std::string format_number(Runtime& runtime, const Value& value, const FormatSpec& spec);

/// Text cut to the precision and padded to the width.
std::string format_string(Runtime& runtime, std::string text, const FormatSpec& spec);

/// Pads `sign + digits`; '=' puts the fill between the two.
std::string pad(Runtime& runtime, const std::string& sign, const std::string& body, const FormatSpec& spec, char standard_align);

}  // namespace graft::text::jinja
