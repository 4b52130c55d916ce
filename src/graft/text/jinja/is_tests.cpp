#include "graft/text/jinja/is_tests.h"

#include <map>

#include "graft/text/jinja/arguments.h"
#include "graft/text/jinja/filters.h"
#include "graft/text/jinja/operators.h"
#include "graft/text/jinja/unicode.h"

namespace graft::text::jinja {
namespace {

const Value& operand(const char* name, const Arguments& arguments) {
  if (arguments.positional.size() != 1 || !arguments.keywords.empty())
    throw Fault(std::string("the test '") + name + "' takes one argument");
  return arguments.positional[0];
}

bool modulo_is(Runtime& runtime, const Value& value, Int divisor, Int remainder) {
  return equal(runtime, binary(runtime, Operator::kModulo, value, Value(divisor)), Value(remainder));
}

template <Type kType>
bool is_type(Runtime&, const Value& value, const Arguments&) {
  return value.is(kType);
}

template <Comparison kComparison>
bool is_compared(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return compare(runtime, kComparison, value, operand("comparison", arguments));
}

bool is_sequence(Runtime&, const Value& value, const Arguments&) {
  switch (value.type()) {
    case Type::kString:
    case Type::kList:
    case Type::kTuple:
    case Type::kDict:
    case Type::kRange:
    case Type::kUndefined:
      return true;
    default:
      return false;
  }
}

template <bool kUpper>
bool has_case(Runtime& runtime, const Value& value, const Arguments&) {
  const std::string text = to_text(runtime, value);
  bool any = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (!is_cased(c)) continue;
    if (kUpper ? !jinja::is_upper(c) : !jinja::is_lower(c)) return false;
    any = true;
  }
  return any;
}

const std::map<std::string, Test>& table() {
  static const std::map<std::string, Test> tests = {
      {"defined", [](Runtime&, const Value& v, const Arguments&) { return !v.is(Type::kUndefined); }},
      {"undefined", is_type<Type::kUndefined>},
      {"none", is_type<Type::kNone>},
      {"boolean", is_type<Type::kBool>},
      {"integer", is_type<Type::kInt>},
      {"float", is_type<Type::kFloat>},
      {"string", is_type<Type::kString>},
      {"mapping", is_type<Type::kDict>},
      {"true", [](Runtime&, const Value& v, const Arguments&) { return v.is(Type::kBool) && v.boolean(); }},
      {"false", [](Runtime&, const Value& v, const Arguments&) { return v.is(Type::kBool) && !v.boolean(); }},
      {"number", [](Runtime&, const Value& v, const Arguments&) { return v.is_number(); }},
      {"sequence", is_sequence},
      {"iterable", [](Runtime&, const Value& v, const Arguments&) { return is_iterable(v); }},
      {"callable",
       [](Runtime&, const Value& v, const Arguments&) { return v.is(Type::kFunction) || v.is(Type::kUndefined) || v.is(Type::kLoop); }},
      {"escaped", [](Runtime&, const Value& v, const Arguments&) { return v.is(Type::kString) && v.as<String>().markup; }},
      {"lower", has_case<false>},
      {"upper", has_case<true>},
      {"odd", [](Runtime& runtime, const Value& v, const Arguments&) { return modulo_is(runtime, v, 2, 1); }},
      {"even", [](Runtime& runtime, const Value& v, const Arguments&) { return modulo_is(runtime, v, 2, 0); }},
      {"divisibleby",
       [](Runtime& runtime, const Value& v, const Arguments& arguments) {
         return equal(runtime, binary(runtime, Operator::kModulo, v, operand("divisibleby", arguments)), Value(Int{0}));
       }},
      {"sameas", [](Runtime&, const Value& v, const Arguments& arguments) { return same(v, operand("sameas", arguments)); }},
      {"filter", [](Runtime&, const Value& v, const Arguments&) { return v.is(Type::kString) && find_filter(v.text()) != nullptr; }},
      {"test", [](Runtime&, const Value& v, const Arguments&) { return v.is(Type::kString) && find_test(v.text()) != nullptr; }},
      {"in", is_compared<Comparison::kIn>},
      {"==", is_compared<Comparison::kEqual>},
      {"eq", is_compared<Comparison::kEqual>},
      {"equalto", is_compared<Comparison::kEqual>},
      {"!=", is_compared<Comparison::kNotEqual>},
      {"ne", is_compared<Comparison::kNotEqual>},
      {"<", is_compared<Comparison::kLess>},
      {"lt", is_compared<Comparison::kLess>},
      {"lessthan", is_compared<Comparison::kLess>},
      {"<=", is_compared<Comparison::kLessEqual>},
      {"le", is_compared<Comparison::kLessEqual>},
      {">", is_compared<Comparison::kGreater>},
      {"gt", is_compared<Comparison::kGreater>},
      {"greaterthan", is_compared<Comparison::kGreater>},
      {">=", is_compared<Comparison::kGreaterEqual>},
      {"ge", is_compared<Comparison::kGreaterEqual>},
  };
  return tests;
}

}  // namespace

Test find_test(const std::string& name) {
  const auto found = table().find(name);
  return found == table().end() ? nullptr : found->second;
}

std::vector<std::string> test_names() {
  std::vector<std::string> names;
  for (const auto& [name, test] : table()) names.push_back(name);
  return names;
}

}  // namespace graft::text::jinja
