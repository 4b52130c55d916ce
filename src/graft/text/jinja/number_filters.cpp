#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "graft/text/jinja/arguments.h"
#include "graft/text/jinja/filters.h"
#include "graft/text/jinja/numbers.h"
#include "graft/text/jinja/operators.h"

namespace graft::text::jinja {
namespace {

/// float(value), empty where Python raises TypeError or ValueError.
std::optional<double> as_float(const Value& value) {
  if (value.is(Type::kUndefined)) use_of_undefined(value);
  if (value.is_number()) return value.number();
  return value.is(Type::kString) ? parse_float(value.text()) : std::nullopt;
}

Value int_filter(Runtime&, const Value& input, const Arguments& arguments) {
  const Bound bound("int", arguments, {"default", "base"});
  const Value standard = bound.value(0, Value(Int{0}));
  const Int base = bound.integer(1, 10);
  if (input.is_integral()) return Value(input.integer());
  if (input.is(Type::kString) && base >= 0 && base <= 36) {
    if (const auto parsed = parse_integer(input.text(), static_cast<int>(base))) return Value(*parsed);
  }
  if (input.is(Type::kFloat) && std::isinf(input.number())) throw Fault("cannot convert float infinity to integer");
  const auto number = as_float(input);
  if (!number || !std::isfinite(*number)) return standard;
  return Value(truncate_to_integer(*number));
}

Value float_filter(Runtime&, const Value& input, const Arguments& arguments) {
  const Bound bound("float", arguments, {"default"});
  const auto number = as_float(input);
  return number ? Value(*number) : bound.value(0, Value(0.0));
}

Value absolute(Runtime& runtime, const Value& input, const Arguments&) {
  if (input.is(Type::kUndefined)) use_of_undefined(input);
  if (input.is_integral()) return input.integer() < 0 ? negate(runtime, input) : Value(input.integer());
  if (input.is(Type::kFloat)) return Value(std::fabs(input.number()));
  throw Fault("bad operand type for abs(): '" + type_name(input) + "'");
}

/// round(number, digits) as CPython does it: through the decimal text, which is exact.
double round_decimal(double number, Int digits) {
  if (!std::isfinite(number) || digits > 300) return number;
  if (digits < -308) return 0.0 * number;
  if (digits >= 0) {
    char buffer[700];
    std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(digits), number);
    return std::strtod(buffer, nullptr);
  }
  const double power = std::pow(10.0, static_cast<double>(-digits));
  return std::nearbyint(number / power) * power;
}

/// round(integer, digits) with ties to even.
Int round_integer(Int value, Int digits) {
  if (digits >= 0) return value;
  if (digits < -37) return 0;
  Int power = 1;
  for (Int i = digits; i < 0; ++i) power *= 10;
  Int quotient = value / power;
  const Int rest = value % power < 0 ? -(value % power) : value % power;
  const bool up = rest * 2 > power || (rest * 2 == power && quotient % 2 != 0);
  quotient += up ? (value < 0 ? -1 : 1) : 0;
  return quotient * power;
}

Value round_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("round", arguments, {"precision", "method"});
  const Int precision = bound.integer(0, 0);
  const std::string method = bound.has(1) ? bound.text(1) : "common";
  if (method != "common" && method != "ceil" && method != "floor") throw Fault("round: method must be common, ceil or floor");
  if (input.is(Type::kUndefined)) use_of_undefined(input);
  if (!input.is_number()) throw Fault("type " + type_name(input) + " doesn't define __round__ method");
  if (method == "common") {
    return input.is_integral() ? Value(round_integer(input.integer(), precision)) : Value(round_decimal(input.number(), precision));
  }
  const Value scale = binary(runtime, Operator::kPower, Value(Int{10}), Value(precision));
  const double scaled = binary(runtime, Operator::kMultiply, input, scale).number();
  const Int whole = truncate_to_integer(method == "ceil" ? std::ceil(scaled) : std::floor(scaled));
  return binary(runtime, Operator::kDivide, Value(whole), scale);
}

Value file_size(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("filesizeformat", arguments, {"binary"});
  const auto number = as_float(input);
  if (!number) throw Fault("filesizeformat needs a number");
  const bool binary_units = bound.flag(runtime, 0, false);
  const double base = binary_units ? 1024 : 1000;
  if (*number == 1) return runtime.string("1 Byte");
  if (*number < base) return runtime.string(integer_text(truncate_to_integer(*number)) + " Bytes");
  static constexpr const char* kPrefixes[] = {"k", "M", "G", "T", "P", "E", "Z", "Y"};
  double unit = base;
  size_t prefix = 0;
  for (; prefix < 8; ++prefix) {
    unit *= base;
    if (*number < unit) break;
  }
  prefix = std::min<size_t>(prefix, 7);
  if (unit > std::pow(base, 9)) unit = std::pow(base, 9);
  char buffer[400];
  std::snprintf(buffer, sizeof buffer, "%.1f ", base * *number / unit);
  std::string letter = kPrefixes[prefix];
  if (binary_units && letter == "k") letter = "K";
  return runtime.string(buffer + letter + (binary_units ? "iB" : "B"));
}

}  // namespace

const std::vector<NamedFilter>& number_filters() {
  static const std::vector<NamedFilter> filters = {
      {"int", int_filter}, {"float", float_filter}, {"abs", absolute}, {"round", round_filter}, {"filesizeformat", file_size},
  };
  return filters;
}

}  // namespace graft::text::jinja
