#include "graft/text/jinja/format_spec.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "graft/text/jinja/numbers.h"
#include "graft/text/jinja/unicode.h"

namespace graft::text::jinja {
namespace {

std::string digits_in_base(Int magnitude, int base, bool upper) {
  if (magnitude == 0) return "0";
  const char* letters = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string out;
  for (; magnitude != 0; magnitude /= base) {
    const int digit = static_cast<int>(magnitude % base);
    out += letters[digit < 0 ? -digit : digit];
  }
  std::reverse(out.begin(), out.end());
  return out;
}

std::string with_groups(const std::string& digits, char separator, size_t size) {
  const size_t end = std::min(digits.find_first_not_of("0123456789abcdefABCDEF"), digits.size());
  std::string out;
  for (size_t i = 0; i < end; ++i) {
    if (i > 0 && (end - i) % size == 0) out += separator;
    out += digits[i];
  }
  return out + digits.substr(end);
}

std::string float_digits(Runtime& runtime, double magnitude, const FormatSpec& spec) {
  if (std::isnan(magnitude) || std::isinf(magnitude)) {
    const bool upper = spec.type == 'E' || spec.type == 'F' || spec.type == 'G';
    return std::isnan(magnitude) ? (upper ? "NAN" : "nan") : (upper ? "INF" : "inf");
  }
  if (spec.type == '\0' && spec.precision < 0) return float_text(magnitude);
  if (spec.precision > 1000) throw Fault("the format's precision is too large");
  const bool percent = spec.type == '%';
  char type = spec.type == '\0' || spec.type == 'n' ? 'g' : spec.type;
  if (percent) type = 'f';
  const std::string pattern = std::string("%") + (spec.alternate ? "#" : "") + ".*" + type;
  char buffer[2048];
  const int precision = spec.precision < 0 ? 6 : static_cast<int>(spec.precision);
  std::snprintf(buffer, sizeof buffer, pattern.c_str(), precision, percent ? magnitude * 100 : magnitude);
  std::string out = buffer;
  if (spec.type == '\0' && out.find_first_of(".en") == std::string::npos) out += ".0";
  runtime.charge(1);
  return percent ? out + "%" : out;
}

}  // namespace

std::string pad(Runtime& runtime, const std::string& sign, const std::string& body, const FormatSpec& spec, char standard_align) {
  const Int missing = spec.width - Int(count_code_points(sign) + count_code_points(body));
  if (missing <= 0) return sign + body;
  runtime.check_size(missing > Int(runtime.limits().output) ? runtime.limits().output + 1
                                                            : static_cast<size_t>(missing) * spec.fill.size());
  const auto filled = [&](Int count) {
    std::string out;
    for (Int i = 0; i < count; ++i) out += spec.fill;
    return out;
  };
  switch (spec.align == '\0' ? standard_align : spec.align) {
    case '<':
      return sign + body + filled(missing);
    case '^':
      return filled(missing / 2) + sign + body + filled(missing - missing / 2);
    case '=':
      return sign + filled(missing) + body;
    default:
      return filled(missing) + sign + body;
  }
}

std::string format_string(Runtime& runtime, std::string text, const FormatSpec& spec) {
  if (spec.precision >= 0 && Int(count_code_points(text)) > spec.precision)
    text.resize(byte_offset(text, static_cast<size_t>(spec.precision)));
  return pad(runtime, "", text, spec, '<');
}

std::string format_number(Runtime& runtime, const Value& value, const FormatSpec& spec) {
  const bool integral = value.is_integral();
  const std::string_view integer_types = "bcdoxXn";
  const bool as_integer = integral && (spec.type == '\0' || integer_types.find(spec.type) != std::string_view::npos);
  if (!as_integer && spec.type != '\0' && std::string_view("eEfFgGn%").find(spec.type) == std::string_view::npos) {
    throw Fault(std::string("unknown format code '") + spec.type + "' for a number");
  }
  if (as_integer && spec.type == 'c') {
    const Int code = value.integer();
    if (code < 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) throw Fault("%c arg not in range(0x110000)");
    std::string text;
    append_code_point(text, static_cast<char32_t>(code));
    return pad(runtime, "", text, spec, '<');
  }
  const bool negative = integral ? value.integer() < 0 : std::signbit(value.number()) && !std::isnan(value.number());
  std::string sign = negative ? "-" : spec.sign == '+' ? "+" : spec.sign == ' ' ? " " : "";
  std::string digits;
  if (as_integer) {
    const int base = spec.type == 'b' ? 2 : spec.type == 'o' ? 8 : spec.type == 'x' || spec.type == 'X' ? 16 : 10;
    digits = digits_in_base(value.integer(), base, spec.type == 'X');
    if (spec.grouped) digits = with_groups(digits, spec.grouping, base == 10 ? 3 : 4);
    if (spec.alternate && base != 10) sign += std::string("0") + spec.type;
  } else {
    digits = float_digits(runtime, std::fabs(value.number()), spec);
    if (spec.grouped) digits = with_groups(digits, spec.grouping, 3);
  }
  return pad(runtime, sign, digits, spec, '>');
}

}  // namespace graft::text::jinja
