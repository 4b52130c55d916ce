#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "graft/text/jinja/arguments.h"
#include "graft/text/jinja/methods.h"
#include "graft/text/jinja/operators.h"

namespace graft::text::jinja {
namespace {

using Method = Value (*)(Runtime&, const Value&, const Arguments&);

Value dict_get(Runtime&, const Value& self, const Arguments& arguments) {
  const Bound bound("get", arguments, {"key", "default"}, 1);
  const Value* found = self.as<Dict>().find(bound[0]);
  return found != nullptr ? *found : bound.value(1);
}

template <View::Part kPart>
Value dict_view(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("view", arguments, {});
  return runtime.view(self, kPart);
}

Value dict_copy(Runtime& runtime, const Value& self, const Arguments&) {
  auto copy = runtime.dict();
  for (const auto& [key, value] : self.as<Dict>().items) copy->set(key, value);
  runtime.charge_values(copy->items.size());
  return Value(std::move(copy));
}

Value dict_fromkeys(Runtime& runtime, const Value&, const Arguments& arguments) {
  const Bound bound("fromkeys", arguments, {"iterable", "value"}, 1);
  auto made = runtime.dict();
  for (const Value& key : iterate(runtime, bound[0])) made->set(key, bound.value(1));
  return Value(std::move(made));
}

Value sequence_count(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("count", arguments, {"value"}, 1);
  Int count = 0;
  for (const Value& item : iterate(runtime, self)) count += equal(runtime, item, bound[0]) ? 1 : 0;
  return Value(count);
}

Value sequence_index(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("index", arguments, {"value", "start", "stop"}, 1);
  const Values items = iterate(runtime, self);
  const Int size = Int(items.size());
  const auto place = [&](size_t parameter, Int standard) {
    const Int index = bound.integer(parameter, standard);
    return std::clamp(index < 0 ? index + size : index, Int{0}, size);
  };
  for (Int i = place(1, 0), end = place(2, size); i < end; ++i) {
    if (equal(runtime, items[static_cast<size_t>(i)], bound[0])) return Value(i);
  }
  throw Fault(to_repr(runtime, bound[0]) + " is not in the " + type_name(self));
}

Value list_copy(Runtime& runtime, const Value& self, const Arguments&) { return runtime.list(self.as<Sequence>().items); }

Value bit_length(Runtime&, const Value& self, const Arguments&) {
  Int bits = 0;
  Int rest = self.integer();
  for (; rest != 0; rest /= 2) ++bits;
  return Value(bits);
}

Value is_integer(Runtime&, const Value& self, const Arguments&) {
  return Value(self.is_integral() || std::floor(self.number()) == self.number());
}

const std::map<std::string, Method>& methods_of(Type type) {
  static const std::map<std::string, Method> dict = {{"get", dict_get},
                                                     {"keys", dict_view<View::Part::kKeys>},
                                                     {"values", dict_view<View::Part::kValues>},
                                                     {"items", dict_view<View::Part::kItems>},
                                                     {"copy", dict_copy},
                                                     {"fromkeys", dict_fromkeys}};
  static const std::map<std::string, Method> list = {{"count", sequence_count}, {"index", sequence_index}, {"copy", list_copy}};
  static const std::map<std::string, Method> tuple = {{"count", sequence_count}, {"index", sequence_index}};
  static const std::map<std::string, Method> number = {{"bit_length", bit_length}, {"is_integer", is_integer}};
  static const std::map<std::string, Method> fraction = {{"is_integer", is_integer}};
  static const std::map<std::string, Method> nothing;
  switch (type) {
    case Type::kDict:
      return dict;
    case Type::kList:
      return list;
    case Type::kTuple:
    case Type::kRange:
      return tuple;
    case Type::kBool:
    case Type::kInt:
      return number;
    case Type::kFloat:
      return fraction;
    default:
      return nothing;
  }
}

bool changes_object(Type type, const std::string& name) {
  static const std::set<std::string> list = {"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"};
  static const std::set<std::string> dict = {"clear", "pop", "popitem", "setdefault", "update"};
  return (type == Type::kList && list.count(name) != 0) || (type == Type::kDict && dict.count(name) != 0);
}

}  // namespace

bool find_container_method(Runtime& runtime, const Value& self, const std::string& name, Value* result) {
  if (changes_object(self.type(), name)) {
    *result =
        runtime.undefined("access to attribute '" + name + "' of '" + type_name(self) + "' object is unsafe: a template can not change it");
    return true;
  }
  const auto& methods = methods_of(self.type());
  const auto found = methods.find(name);
  if (found == methods.end()) return false;
  const Method method = found->second;
  *result = runtime.function(
      name, [self, method](Runtime& inner, Arguments& arguments) { return method(inner, self, arguments); }, self.depth());
  return true;
}

}  // namespace graft::text::jinja
