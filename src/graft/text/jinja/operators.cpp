#include "graft/text/jinja/operators.h"

#include <algorithm>
#include <cmath>

#include "graft/text/jinja/format.h"
#include "graft/text/jinja/markup.h"
#include "graft/text/jinja/numbers.h"
#include "graft/text/jinja/unicode.h"

namespace graft::text::jinja {
namespace {

[[noreturn]] void unsupported(const char* symbol, const Value& left, const Value& right) {
  throw Fault(std::string("unsupported operand type(s) for ") + symbol + ": '" + type_name(left) + "' and '" + type_name(right) + "'");
}

constexpr const char* kSymbols[] = {"+", "-", "*", "/", "//", "%", "**", "~"};

/// By reference: the value is read after the operation that the first argument is.
Int checked(bool overflow, const Int& value) {
  if (overflow) throw Fault("the result is too large for an integer");
  return value;
}

Int floor_divide(Int left, Int right) {
  const Int quotient = left / right;
  return left % right != 0 && (left < 0) != (right < 0) ? quotient - 1 : quotient;
}

double float_modulo(double left, double right) {
  const double remainder = std::fmod(left, right);
  return remainder != 0 && (remainder < 0) != (right < 0) ? remainder + right
                                                          : std::copysign(remainder, remainder == 0 ? right : remainder);
}

Value integer_power(Int base, Int exponent) {
  if (exponent < 0) {
    if (base == 0) throw Fault("0.0 cannot be raised to a negative power");
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  Int result = 1;
  for (Int left = exponent; left > 0; left >>= 1) {
    if ((left & 1) != 0) result = checked(__builtin_mul_overflow(result, base, &result), result);
    if (left > 1 && base != 0 && base != 1 && base != -1) base = checked(__builtin_mul_overflow(base, base, &base), base);
  }
  return Value(result);
}

Value integer_operation(Operator op, Int left, Int right) {
  Int result = 0;
  switch (op) {
    case Operator::kAdd:
      return Value(checked(__builtin_add_overflow(left, right, &result), result));
    case Operator::kSubtract:
      return Value(checked(__builtin_sub_overflow(left, right, &result), result));
    case Operator::kMultiply:
      return Value(checked(__builtin_mul_overflow(left, right, &result), result));
    case Operator::kPower:
      return integer_power(left, right);
    default:
      break;
  }
  if (right == 0) throw Fault(op == Operator::kDivide ? "division by zero" : "integer division or modulo by zero");
  if (right == -1 && op == Operator::kFloorDivide) return Value(checked(__builtin_sub_overflow(result, left, &result), result));
  if (right == -1 && op == Operator::kModulo) return Value(Int{0});
  if (op == Operator::kDivide) return Value(static_cast<double>(left) / static_cast<double>(right));
  if (op == Operator::kFloorDivide) return Value(floor_divide(left, right));
  return Value(left - floor_divide(left, right) * right);
}

Value float_operation(Operator op, double left, double right) {
  switch (op) {
    case Operator::kAdd:
      return Value(left + right);
    case Operator::kSubtract:
      return Value(left - right);
    case Operator::kMultiply:
      return Value(left * right);
    case Operator::kPower:
      if (left == 0 && right < 0) throw Fault("0.0 cannot be raised to a negative power");
      if (left < 0 && std::floor(right) != right) throw Fault("a negative number to a fractional power is complex");
      return Value(std::pow(left, right));
    default:
      break;
  }
  if (right == 0) throw Fault(op == Operator::kModulo ? "float modulo" : "float division by zero");
  if (op == Operator::kDivide) return Value(left / right);
  if (op == Operator::kModulo) return Value(float_modulo(left, right));
  return Value(std::floor(left / right));
}

Value repeat(Runtime& runtime, const Value& value, const Value& times) {
  const Int count = std::max(Int{0}, times.integer());
  if (value.is(Type::kString)) {
    const std::string& text = value.text();
    if (count > 0 && !text.empty() && count > Int(runtime.limits().output / text.size())) runtime.check_size(runtime.limits().output + 1);
    runtime.charge_bytes(text.size() * static_cast<size_t>(text.empty() ? 0 : count));
    std::string result;
    if (!text.empty()) {
      if (text.size() == 1) {
        result.assign(static_cast<size_t>(count), text[0]);
      } else {
        result.reserve(text.size() * static_cast<size_t>(count));
        for (Int i = 0; i < count; ++i) result += text;
      }
    }
    return runtime.string(std::move(result), value.as<String>().markup, {});
  }
  const Values& items = value.as<Sequence>().items;
  if (!items.empty() && count > Int{10'000'000} / Int(items.size())) throw Fault("the repeated list is too long");
  Values result;
  if (!items.empty()) {
    runtime.charge_values(items.size() * static_cast<size_t>(count));
    for (Int i = 0; i < count; ++i) result.insert(result.end(), items.begin(), items.end());
  }
  return value.is(Type::kList) ? runtime.list(std::move(result)) : runtime.tuple(std::move(result));
}

bool is_repeatable(const Value& value) { return value.is(Type::kString) || value.is(Type::kList) || value.is(Type::kTuple); }

Value join_strings(Runtime& runtime, const Value& left, const Value& right) {
  if (left.as<String>().markup == right.as<String>().markup) {
    Value joined = concatenate(runtime, {left, right});
    joined.mutable_as<String>().markup = left.as<String>().markup;
    return joined;
  }
  return runtime.string(escaped_text(left) + escaped_text(right), true, {});
}

Value add(Runtime& runtime, const Value& left, const Value& right) {
  if (left.is(Type::kString)) {
    if (!right.is(Type::kString)) throw Fault("can only concatenate str (not \"" + type_name(right) + "\") to str");
    return join_strings(runtime, left, right);
  }
  if (left.type() == right.type() && (left.is(Type::kList) || left.is(Type::kTuple))) {
    Values items = left.as<Sequence>().items;
    const Values& more = right.as<Sequence>().items;
    items.insert(items.end(), more.begin(), more.end());
    return left.is(Type::kList) ? runtime.list(std::move(items)) : runtime.tuple(std::move(items));
  }
  unsupported("+", left, right);
}

}  // namespace

void use_of_undefined(const Value& value) { throw Fault(value.as<Undefined>().message); }

Value binary(Runtime& runtime, Operator op, const Value& left, const Value& right) {
  if (op == Operator::kModulo && left.is(Type::kString)) return percent_format(runtime, left, right);
  if (left.is(Type::kUndefined)) use_of_undefined(left);
  if (right.is(Type::kUndefined)) use_of_undefined(right);
  if (left.is_integral() && right.is_integral()) return integer_operation(op, left.integer(), right.integer());
  if (left.is_number() && right.is_number()) return float_operation(op, left.number(), right.number());
  if (op == Operator::kAdd) return add(runtime, left, right);
  if (op == Operator::kMultiply) {
    if (is_repeatable(left) && right.is_integral()) return repeat(runtime, left, right);
    if (is_repeatable(right) && left.is_integral()) return repeat(runtime, right, left);
  }
  unsupported(kSymbols[static_cast<int>(op)], left, right);
}

Value negate(Runtime& runtime, const Value& value) {
  if (value.is(Type::kUndefined)) use_of_undefined(value);
  if (value.is_integral()) return integer_operation(Operator::kSubtract, 0, value.integer());
  if (value.is(Type::kFloat)) return Value(-value.number());
  throw Fault("bad operand type for unary -: '" + type_name(value) + "'");
}

Value concatenate(Runtime& runtime, const Values& parts) {
  std::string text;
  std::vector<Mark> marks;
  for (const Value& part : parts) {
    if (part.is(Type::kString)) {
      for (const Mark& mark : part.as<String>().marks) marks.push_back({text.size() + mark.begin, text.size() + mark.end});
      runtime.check_size(text.size() + part.text().size());
      text += part.text();
    } else {
      text += to_text(runtime, part);
    }
  }
  return runtime.string(std::move(text), false, std::move(marks));
}

bool truthy(Runtime& runtime, const Value& value) {
  switch (value.type()) {
    case Type::kUndefined:
    case Type::kNone:
      return false;
    case Type::kBool:
      return value.boolean();
    case Type::kInt:
      return value.integer() != 0;
    case Type::kFloat:
      return value.number() != 0;
    case Type::kString:
    case Type::kList:
    case Type::kTuple:
    case Type::kDict:
    case Type::kView:
    case Type::kRange:
    case Type::kLoop:
      return length(runtime, value) != 0;
    default:
      return true;
  }
}

Int as_index(const Value& value, const char* what) {
  if (!value.is_integral()) throw Fault(std::string(what) + " must be an integer, not " + type_name(value));
  constexpr Int kFar = Int{1} << 64;  // beyond any length; sums and differences of two stay far from overflow
  return std::clamp(value.integer(), -kFar, kFar);
}

}  // namespace graft::text::jinja
