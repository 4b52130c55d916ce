#include "graft/text/jinja/access.h"

#include <algorithm>

#include "graft/text/jinja/loop.h"
#include "graft/text/jinja/methods.h"
#include "graft/text/jinja/operators.h"
#include "graft/text/jinja/string_literal.h"
#include "graft/text/jinja/unicode.h"

namespace graft::text::jinja {
namespace {

/// What jinja2 calls the object in "… has no attribute".
std::string owner_name(const Value& value) {
  if (value.is(Type::kNone)) return "None";
  return type_name(value) + " object";
}

/// A name of the value itself, before its keys are asked.
bool find_attribute(Runtime& runtime, const Value& value, const std::string& name, Value* result) {
  switch (value.type()) {
    case Type::kNamespace:
      for (const auto& [known, content] : value.as<Namespace>().attributes) {
        if (known == name) return *result = content, true;
      }
      return false;
    case Type::kLoop:
      return loop_attribute(runtime, value, name, result);
    case Type::kFunction:
      for (const auto& [known, content] : value.as<Function>().attributes) {
        if (known == name) return *result = content, true;
      }
      return false;
    case Type::kString:
      return find_string_method(runtime, value, name, result);
    case Type::kTuple: {
      const auto& tuple = value.as<Sequence>();
      const auto place = std::find(tuple.names.begin(), tuple.names.end(), name);
      if (place != tuple.names.end()) return *result = tuple.items[static_cast<size_t>(place - tuple.names.begin())], true;
      return find_container_method(runtime, value, name, result);
    }
    default:
      return find_container_method(runtime, value, name, result);
  }
}

bool has_element(Runtime& runtime, const Value& value, const Value& key, Value* result) {
  const auto at = [&](Int size) -> Int {
    if (!key.is_integral()) return -1;
    const Int index = key.integer() < 0 ? key.integer() + size : key.integer();
    return index < 0 || index >= size ? -1 : index;
  };
  switch (value.type()) {
    case Type::kDict: {
      if (key.is(Type::kList) || key.is(Type::kDict) || key.is(Type::kView)) return false;
      const Value* found = value.as<Dict>().find(key);
      if (found != nullptr) *result = *found;
      return found != nullptr;
    }
    case Type::kList:
    case Type::kTuple: {
      const Values& items = value.as<Sequence>().items;
      const Int index = at(Int(items.size()));
      if (index >= 0) *result = items[static_cast<size_t>(index)];
      return index >= 0;
    }
    case Type::kRange: {
      const Int index = at(value.as<Range>().size());
      if (index >= 0) *result = Value(value.as<Range>().at(index));
      return index >= 0;
    }
    case Type::kString: {
      const auto& string = value.as<String>();
      const Int index = at(Int(string.length));
      if (index < 0) return false;
      size_t begin = static_cast<size_t>(index);
      if (!string.ascii()) {
        runtime.charge_bytes(begin * 8);
        begin = byte_offset(string.text, begin);
      }
      size_t end = begin;
      next_code_point(string.text, end);
      *result = runtime.string(string.text.substr(begin, end - begin), string.markup, {});
      return true;
    }
    default:
      return false;
  }
}

struct SliceBounds {
  Int start, stop, step, count;
};

SliceBounds slice_bounds(Int size, const Value& start, const Value& stop, const Value& step) {
  const auto check = [](const Value& bound) {
    if (bound.is(Type::kUndefined)) use_of_undefined(bound);
    if (!bound.is(Type::kNone) && !bound.is_integral()) throw Fault("slice indices must be integers or None");
  };
  check(start);
  check(stop);
  check(step);
  SliceBounds bounds{};
  constexpr Int kFar = Int{1} << 40;  // beyond any length, and products of two stay far from overflow
  bounds.step = step.is(Type::kNone) ? 1 : std::clamp(step.integer(), -kFar, kFar);
  if (bounds.step == 0) throw Fault("slice step cannot be zero");
  const Int lowest = bounds.step > 0 ? 0 : -1;
  const Int highest = bounds.step > 0 ? size : size - 1;
  const auto place = [&](const Value& bound, Int standard) {
    if (bound.is(Type::kNone)) return standard;
    const Int index = std::clamp(bound.integer(), -kFar, kFar);
    const Int from_end = index < 0 ? index + size : index;
    return std::clamp(from_end, lowest, std::max(lowest, highest));
  };
  bounds.start = place(start, bounds.step > 0 ? lowest : highest);
  bounds.stop = place(stop, bounds.step > 0 ? highest : lowest);
  if (bounds.step > 0) {
    bounds.count = bounds.start < bounds.stop ? (bounds.stop - bounds.start - 1) / bounds.step + 1 : 0;
  } else {
    bounds.count = bounds.start > bounds.stop ? (bounds.start - bounds.stop - 1) / -bounds.step + 1 : 0;
  }
  return bounds;
}

Value slice_string(Runtime& runtime, const String& string, const SliceBounds& bounds) {
  runtime.charge_bytes(string.text.size());
  std::string out;
  if (bounds.step == 1) {
    const auto offset = [&](Int index) {
      return string.ascii() ? static_cast<size_t>(index) : byte_offset(string.text, static_cast<size_t>(index));
    };
    if (bounds.count > 0) {
      const size_t begin = offset(bounds.start);
      out = string.text.substr(begin, offset(bounds.start + bounds.count) - begin);
    }
    return runtime.string(std::move(out), string.markup, {});
  }
  std::vector<size_t> offsets;
  for (size_t at = 0; at < string.text.size(); next_code_point(string.text, at)) offsets.push_back(at);
  runtime.charge(offsets.size() / 4);
  offsets.push_back(string.text.size());
  for (Int i = 0, at = bounds.start; i < bounds.count; ++i, at += bounds.step) {
    const auto index = static_cast<size_t>(at);
    out.append(string.text, offsets[index], offsets[index + 1] - offsets[index]);
  }
  return runtime.string(std::move(out), string.markup, {});
}

}  // namespace

Value get_attribute(Runtime& runtime, const Value& value, const std::string& name) {
  if (value.is(Type::kUndefined)) use_of_undefined(value);
  Value result;
  if (find_attribute(runtime, value, name, &result)) return result;
  if (value.is(Type::kDict)) {
    if (const Value* found = value.as<Dict>().find(std::string_view(name))) return *found;
  }
  return runtime.undefined("'" + owner_name(value) + "' has no attribute '" + name + "'");
}

Value get_item(Runtime& runtime, const Value& value, const Value& key) {
  if (value.is(Type::kUndefined)) use_of_undefined(value);
  Value result;
  if (has_element(runtime, value, key, &result)) return result;
  if (key.is(Type::kString)) {
    if (find_attribute(runtime, value, key.text(), &result)) return result;
    return runtime.undefined("'" + owner_name(value) + "' has no attribute " + quoted(key.text()));
  }
  const std::string shown = key.is_number() || key.is(Type::kNone) ? to_repr(runtime, key) : "of type " + type_name(key);
  return runtime.undefined(owner_name(value) + " has no element " + shown);
}

Value get_slice(Runtime& runtime, const Value& value, const Value& start, const Value& stop, const Value& step) {
  switch (value.type()) {
    case Type::kUndefined:
      use_of_undefined(value);
    case Type::kString:
      return slice_string(runtime, value.as<String>(), slice_bounds(Int(value.as<String>().length), start, stop, step));
    case Type::kList:
    case Type::kTuple: {
      const Values& items = value.as<Sequence>().items;
      const SliceBounds bounds = slice_bounds(Int(items.size()), start, stop, step);
      Values out;
      for (Int i = 0, at = bounds.start; i < bounds.count; ++i, at += bounds.step) out.push_back(items[static_cast<size_t>(at)]);
      return value.is(Type::kList) ? runtime.list(std::move(out)) : runtime.tuple(std::move(out));
    }
    case Type::kRange: {
      const auto& range = value.as<Range>();
      const SliceBounds bounds = slice_bounds(range.size(), start, stop, step);
      return runtime.range(range.at(bounds.start), range.at(bounds.stop), range.step * bounds.step);
    }
    default:
      throw Fault("'" + type_name(value) + "' object can not be sliced");
  }
}

Value call(Runtime& runtime, const Value& callee, Arguments& arguments) {
  if (callee.is(Type::kUndefined)) use_of_undefined(callee);
  if (callee.is(Type::kLoop)) {
    const auto& loop = callee.as<Loop>();
    if (!loop.recurse) throw Fault("the loop must have the 'recursive' marker to be called recursively");
    if (arguments.positional.size() != 1 || !arguments.keywords.empty()) throw Fault("loop() takes one iterable");
    return loop.recurse(runtime, arguments.positional[0]);
  }
  if (!callee.is(Type::kFunction)) throw Fault("'" + type_name(callee) + "' object is not callable");
  const std::shared_ptr<Object> alive = callee.shared();
  return callee.as<Function>().body(runtime, arguments);
}

}  // namespace graft::text::jinja
