#include "graft/text/jinja/numbers.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "graft/text/jinja/unicode.h"

namespace graft::text::jinja {
namespace {

/// Underscores may stand only between digits (PEP 515).
std::optional<std::string> without_underscores(std::string_view text) {
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      digits += text[i];
      continue;
    }
    const auto alphanumeric = [&](size_t at) { return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at])) != 0; };
    if (i == 0 || !alphanumeric(i - 1) || !alphanumeric(i + 1)) return std::nullopt;
  }
  return digits;
}

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'z') return c - 'a' + 10;
  if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
  return 99;
}

}  // namespace

std::string integer_text(Int value) {
  if (value == 0) return "0";
  std::string digits;
  const bool negative = value < 0;
  while (value != 0) {
    const int digit = static_cast<int>(value % 10);
    digits += static_cast<char>('0' + (negative ? -digit : digit));
    value /= 10;
  }
  if (negative) digits += '-';
  std::reverse(digits.begin(), digits.end());
  return digits;
}

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  std::string text(buffer, end);
  const size_t at = text.find('e');
  const int exponent = std::atoi(text.c_str() + at + 1);
  if (exponent >= -4 && exponent < 16) {
    const auto fixed_end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed).ptr;
    std::string fixed(buffer, fixed_end);
    return fixed.find('.') == std::string::npos ? fixed + ".0" : fixed;
  }
  return text;  // to_chars writes at least two exponent digits, as Python does
}

std::optional<Int> parse_integer(std::string_view text, int base) {
  if (base != 0 && (base < 2 || base > 36)) return std::nullopt;
  const auto stripped = without_underscores(strip(text));
  if (!stripped || stripped->empty()) return std::nullopt;
  std::string_view rest = *stripped;
  const bool negative = rest[0] == '-';
  if (rest[0] == '-' || rest[0] == '+') rest.remove_prefix(1);
  const auto prefixed = [&](char letter) { return rest.size() > 2 && rest[0] == '0' && (rest[1] | 0x20) == letter; };
  for (const auto& [letter, prefix_base] : {std::pair{'x', 16}, std::pair{'o', 8}, std::pair{'b', 2}}) {
    if (prefixed(letter) && (base == 0 || base == prefix_base)) {
      rest.remove_prefix(2);
      base = prefix_base;
      break;
    }
  }
  if (base == 0) base = 10;
  if (rest.empty()) return std::nullopt;
  Int value = 0;
  for (const char c : rest) {
    const int digit = digit_value(c);
    if (digit >= base) return std::nullopt;
    if (__builtin_mul_overflow(value, Int{base}, &value) || __builtin_add_overflow(value, Int{digit}, &value)) {
      throw Fault("the integer '" + std::string(rest.substr(0, 40)) + "' is too large");
    }
  }
  return negative ? -value : value;
}

std::optional<double> parse_float(std::string_view text) {
  const auto stripped = without_underscores(strip(text));
  if (!stripped || stripped->empty()) return std::nullopt;
  std::string lowered;
  for (const char c : *stripped) lowered += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  std::string_view word = lowered;
  const bool negative = word[0] == '-';
  if (word[0] == '-' || word[0] == '+') word.remove_prefix(1);
  if (word == "inf" || word == "infinity") return negative ? -INFINITY : INFINITY;
  if (word == "nan") return std::nan("");
  if (word.empty() || (std::isdigit(static_cast<unsigned char>(word[0])) == 0 && word[0] != '.')) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (end != word.data() + word.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) value = std::strtod(std::string(word).c_str(), nullptr);
  return negative ? -value : value;
}

Int truncate_to_integer(double value) {
  if (std::isnan(value)) throw Fault("cannot convert float NaN to integer");
  if (std::isinf(value)) throw Fault("cannot convert float infinity to integer");
  if (std::fabs(value) >= 1e38) throw Fault("the float " + float_text(value) + " is too large for an integer");
  return static_cast<Int>(value);
}

}  // namespace graft::text::jinja
