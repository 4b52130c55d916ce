#include "graft/recipe/scalars.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "graft/base/json.h"
#include "graft/base/strings.h"
#include "graft/recipe/problems.h"

namespace graft::recipe {
namespace {

std::string quoted(const std::string& text) { return '"' + shortened(text, 60) + '"'; }

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string_view without_sign(std::string_view text) {
  return !text.empty() && (text.front() == '-' || text.front() == '+') ? text.substr(1) : text;
}

/// (\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? of YAML 1.2's core schema.
bool is_decimal(std::string_view text) {
  const size_t exponent = text.find_first_of("eE");
  const std::string_view mantissa = text.substr(0, exponent);
  if (exponent != std::string_view::npos && !all_digits(without_sign(text.substr(exponent + 1)))) return false;
  const size_t point = mantissa.find('.');
  if (point == std::string_view::npos) return all_digits(mantissa);
  const std::string_view before = mantissa.substr(0, point), after = mantissa.substr(point + 1);
  return (before.empty() || all_digits(before)) && (after.empty() || all_digits(after)) && mantissa.size() > 1;
}

/// Spellings that other readers take for numbers, each with the way out.
void refuse_other_notations(const std::string& text) {
  const std::string_view digits = without_sign(text);
  if (digits.size() > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9') {
    const size_t first = std::min(digits.find_first_not_of('0'), digits.size() - 1);
    throw ValueError{quoted(text) + " has a leading zero, which some readers take for octal", "",
                     "write " + std::string(digits.substr(first))};
  }
  if (digits.size() > 2 && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'o' || digits[1] == 'b')) {
    throw ValueError{quoted(text) + " is not decimal", "", "write the number in decimal"};
  }
  std::string plain;
  for (char c : text) {
    if (c != '_' && c != ',') plain += c;
  }
  if (plain.size() != text.size() && all_digits(without_sign(plain)) && all_digits(text.substr(text.size() - 1))) {
    throw ValueError{quoted(text) + " has separators between the digits", "", "write " + plain};
  }
}

template <typename Number>
Number from_digits(const std::string& text, const char* kind) {
  const std::string_view digits = starts_with(text, "+") ? std::string_view(text).substr(1) : std::string_view(text);
  Number value{};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size())
    throw ValueError{quoted(text) + " is too large or too small for " + kind, "", ""};
  return value;
}

/// "1.5 GiB" → {1.5, "GiB"}.
std::pair<std::string, std::string> split_unit(const std::string& text) {
  const size_t unit = text.find_first_not_of("+-.0123456789");
  if (unit == std::string::npos) return {text, ""};
  const size_t begin = text.find_first_not_of(' ', unit);
  return {text.substr(0, unit), begin == std::string::npos ? "" : text.substr(begin)};
}

struct Unit {
  const char* name;
  double factor;
};

int64_t scaled(const std::string& text, double value, double factor) {
  const double product = value * factor;
  if (!(std::abs(product) < 9.2e18)) throw ValueError{quoted(text) + " is too large", "", ""};
  if (product != std::floor(product)) throw ValueError{quoted(text) + " is not a whole number", "", ""};
  return static_cast<int64_t>(product);
}

bool boolean_of_yaml_1_1(const std::string& text) {
  static const std::array<const char*, 8> words = {"yes", "no", "on", "off", "y", "n", "true", "false"};
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::any_of(words.begin(), words.end(), [&](const char* word) { return lower == word; });
}

}  // namespace

bool looks_like_number(const std::string& text) {
  const std::string_view digits = without_sign(text);
  if (digits == ".inf" || digits == ".Inf" || digits == ".INF" || text == ".nan" || text == ".NaN" || text == ".NAN") return true;
  if (starts_with(text, "0o")) return text.size() > 2 && text.find_first_not_of("01234567", 2) == std::string::npos;
  if (starts_with(text, "0x")) return text.size() > 2 && text.find_first_not_of("0123456789abcdefABCDEF", 2) == std::string::npos;
  return is_decimal(digits);
}

bool looks_like_bool(const std::string& text) {
  return text == "true" || text == "True" || text == "TRUE" || text == "false" || text == "False" || text == "FALSE";
}

int64_t parse_integer(const std::string& text) {
  refuse_other_notations(text);
  if (!all_digits(without_sign(text))) {
    std::string hint;
    if (looks_like_number(text)) {
      const double value = parse_number(text);
      if (value == std::floor(value) && std::abs(value) < 1e15) hint = "write " + std::to_string(static_cast<int64_t>(value));
    }
    throw ValueError{quoted(text) + " is not an integer", "", hint};
  }
  return from_digits<int64_t>(text, "a 64-bit integer");
}

double parse_number(const std::string& text) {
  refuse_other_notations(text);
  if (!looks_like_number(text)) throw ValueError{quoted(text) + " is not a number", "", ""};
  if (text.find_first_of("nN") != std::string::npos) throw ValueError{quoted(text) + " is not finite", "", "give a finite number"};
  return from_digits<double>(text, "a number");
}

int64_t parse_count(const std::string& text) {
  static const std::array<Unit, 9> units = {
      {{"k", 1e3}, {"K", 1e3}, {"M", 1e6}, {"B", 1e9}, {"G", 1e9}, {"T", 1e12}, {"Ki", 0x1p10}, {"Mi", 0x1p20}, {"Gi", 0x1p30}}};
  const auto [digits, name] = split_unit(text);
  for (const Unit& unit : units) {
    if (name == unit.name) return scaled(text, parse_number(digits), unit.factor);
  }
  return parse_integer(text);
}

int64_t parse_bytes(const std::string& text) {
  static const std::array<Unit, 9> units = {
      {{"B", 1}, {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}}};
  const auto [digits, name] = split_unit(text);
  if (name.empty()) return parse_integer(text);
  std::vector<std::string> names;
  for (const Unit& unit : units) {
    if (name == unit.name) return scaled(text, std::round(parse_number(digits) * unit.factor), 1);
    names.push_back(unit.name);
  }
  throw ValueError{quoted(text) + " is not a size", "", "write bytes or a number with " + enumerate(names) + ", such as 22GiB"};
}

bool parse_bool(const std::string& text) {
  if (looks_like_bool(text)) return text[0] == 't' || text[0] == 'T';
  if (boolean_of_yaml_1_1(text) || text == "1" || text == "0") {
    const bool yes = text == "1" || text[0] == 'y' || text[0] == 'Y' || text == "on" || text == "On" || text == "ON" || text[0] == 't';
    throw ValueError{quoted(text) + " is not a boolean (YAML 1.2 knows only true and false)", yes ? "true" : "false", ""};
  }
  throw ValueError{quoted(text) + " is neither true nor false", nearest_name(text, {"true", "false"}), ""};
}

Frequency parse_frequency(const std::string& text) {
  const auto [digits, unit] = split_unit(text);
  const ValueError wrong{quoted(text) + " is not a number of steps, a percentage or a number of epochs", "",
                         "write 200, 200 steps, 3% or 1 epoch"};
  if (digits.empty()) throw wrong;
  if (unit == "%") {
    const double percent = parse_number(digits);
    if (percent < 0 || percent > 100) throw ValueError{quoted(text) + " is not between 0% and 100%", "", ""};
    return {percent, Frequency::Unit::kPercent};
  }
  if (unit == "epoch" || unit == "epochs") {
    const double epochs = parse_number(digits);
    if (epochs < 0) throw ValueError{quoted(text) + " is negative", "", ""};
    return {epochs, Frequency::Unit::kEpochs};
  }
  if (!unit.empty() && unit != "step" && unit != "steps") {
    if (looks_like_number(text))
      throw ValueError{quoted(text) + " is not a whole number of steps", "", "write steps as digits, or a share as 3%"};
    throw ValueError{wrong.message, nearest_name(unit, {"steps", "epochs"}), wrong.hint};
  }
  const double steps = parse_number(digits);
  if (steps != std::floor(steps) || digits.find('.') != std::string::npos) {
    const std::string share = steps > 0 && steps < 1 ? format_number(std::round(steps * 1e6) / 1e4) + "%" : "3%";
    throw ValueError{quoted(text) + " is not a whole number of steps", "",
                     "a bare number counts steps; for a share of the run write " + share};
  }
  if (steps < 0) throw ValueError{quoted(text) + " is negative", "", ""};
  if (steps > 1e15) throw ValueError{quoted(text) + " is too large", "", ""};
  return {steps, Frequency::Unit::kSteps};
}

Share parse_share(const std::string& text) {
  const auto [digits, unit] = split_unit(text);
  if (unit == "%") return {parse_number(digits), true};
  if (!looks_like_number(text)) throw ValueError{quoted(text) + " is neither a percentage nor a number", "", "write 10% or a number"};
  return {parse_number(text), false};
}

std::string format_number(double value) {
  char buffer[40];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
  std::string text(buffer, end);
  const size_t exponent = text.find('e');
  if (text.find('.') != std::string::npos) return text;
  if (exponent == std::string::npos) return text + ".0";
  return text.insert(exponent, ".0");
}

std::string format_frequency(const Frequency& frequency) {
  const double value = frequency.value;
  const bool whole = value == std::floor(value) && std::abs(value) < 1e15;
  const std::string number = whole ? std::to_string(static_cast<int64_t>(value)) : format_number(value);
  if (frequency.unit == Frequency::Unit::kPercent) return number + "%";
  if (frequency.unit == Frequency::Unit::kEpochs) return number + (value == 1 ? " epoch" : " epochs");
  return number + (value == 1 ? " step" : " steps");
}

std::string format_share(const Share& share) {
  const bool whole = share.value == std::floor(share.value) && std::abs(share.value) < 1e15;
  const std::string number = whole && share.percent ? std::to_string(static_cast<int64_t>(share.value)) : format_number(share.value);
  return number + (share.percent ? "%" : "");
}

std::string format_text(const std::string& text) {
  static const std::string inner = "_-./+@=%*?";
  const auto safe = [&](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || inner.find(c) != std::string::npos; };
  const bool begins_well = !text.empty() && (std::isalpha(static_cast<unsigned char>(text[0])) != 0 || text[0] == '/' || text[0] == '_' ||
                                             (text[0] == '.' && text.find('/') != std::string::npos));
  const bool other_type = text == "null" || text == "Null" || text == "NULL" || boolean_of_yaml_1_1(text) || looks_like_number(text);
  if (begins_well && std::all_of(text.begin(), text.end(), safe) && !other_type) return text;
  return dump_json(text);
}

}  // namespace graft::recipe
