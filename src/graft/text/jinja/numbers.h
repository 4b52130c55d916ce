#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "graft/text/jinja/value.h"

namespace graft::text::jinja {

/// str(int).
std::string integer_text(Int value);

/// repr(float): the shortest digits that read back the same, "1.0", "1e-05", "inf", "nan".
std::string float_text(double value);

/// int(text, base): surrounding space, sign, prefix of the base, underscores between digits. Empty when Python raises ValueError.
std::optional<Int> parse_integer(std::string_view text, int base = 10);

/// float(text): also "inf", "nan", underscores. Empty when Python raises ValueError.
std::optional<double> parse_float(std::string_view text);

/// int(float): towards zero. Fault for infinities, NaN and what does not fit.
Int truncate_to_integer(double value);

}  // namespace graft::text::jinja
