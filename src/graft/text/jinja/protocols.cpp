#include <algorithm>
#include <cstring>

#include "graft/text/jinja/loop.h"
#include "graft/text/jinja/operators.h"
#include "graft/text/jinja/unicode.h"

// Equality, order, membership, length and iteration.
namespace graft::text::jinja {
namespace {

bool items_equal(Runtime& runtime, const Values& left, const Values& right) {
  if (left.size() != right.size()) return false;
  runtime.charge_values(left.size());
  for (size_t i = 0; i < left.size(); ++i) {
    if (!equal(runtime, left[i], right[i])) return false;
  }
  return true;
}

bool dicts_equal(Runtime& runtime, const Dict& left, const Dict& right) {
  if (left.items.size() != right.items.size()) return false;
  for (const auto& [key, value] : left.items) {
    runtime.charge(1);
    const Value* other = right.find(key);
    if (other == nullptr || !equal(runtime, value, *other)) return false;
  }
  return true;
}

bool is_text_inside(Runtime& runtime, const std::string& text, const std::string& part) {
  runtime.charge_bytes(text.size() + part.size());
  return part.empty() || memmem(text.data(), text.size(), part.data(), part.size()) != nullptr;
}

bool numbers_less(const Value& left, const Value& right) {
  if (left.is_integral() && right.is_integral()) return left.integer() < right.integer();
  return left.number() < right.number();
}

}  // namespace

bool same(const Value& left, const Value& right) {
  if (left.type() != right.type()) return false;
  switch (left.type()) {
    case Type::kNone:
      return true;
    case Type::kBool:
      return left.boolean() == right.boolean();
    case Type::kInt:
      return left.integer() == right.integer();
    case Type::kFloat:
      return false;
    case Type::kString:
      return left.text() == right.text();
    default:
      return left.object() == right.object();
  }
}

bool equal(Runtime& runtime, const Value& left, const Value& right) {
  runtime.charge(1);
  if (left.is_number() && right.is_number()) {
    if (left.is_integral() && right.is_integral()) return left.integer() == right.integer();
    return left.number() == right.number();
  }
  if (left.type() != right.type()) return false;
  switch (left.type()) {
    case Type::kNone:
    case Type::kUndefined:
      return true;
    case Type::kString:
      runtime.charge_bytes(left.text().size());
      return left.text() == right.text();
    case Type::kList:
    case Type::kTuple:
      return items_equal(runtime, left.as<Sequence>().items, right.as<Sequence>().items);
    case Type::kDict:
      return dicts_equal(runtime, left.as<Dict>(), right.as<Dict>());
    case Type::kRange:
      return items_equal(runtime, iterate(runtime, left), iterate(runtime, right));
    default:
      return left.object() == right.object();
  }
}

bool less(Runtime& runtime, const Value& left, const Value& right) {
  runtime.charge(1);
  if (left.is(Type::kUndefined)) use_of_undefined(left);
  if (right.is(Type::kUndefined)) use_of_undefined(right);
  if (left.is_number() && right.is_number()) return numbers_less(left, right);
  if (left.type() == right.type()) {
    if (left.is(Type::kString)) {
      runtime.charge_bytes(std::min(left.text().size(), right.text().size()));
      return left.text() < right.text();  // the order of UTF-8 bytes is that of the code points
    }
    if (left.is(Type::kList) || left.is(Type::kTuple)) {
      const Values& a = left.as<Sequence>().items;
      const Values& b = right.as<Sequence>().items;
      for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
        if (!equal(runtime, a[i], b[i])) return less(runtime, a[i], b[i]);
      }
      return a.size() < b.size();
    }
  }
  throw Fault("'<' not supported between instances of '" + type_name(left) + "' and '" + type_name(right) + "'");
}

bool compare(Runtime& runtime, Comparison comparison, const Value& left, const Value& right) {
  const auto is_nan = [](const Value& value) { return value.is(Type::kFloat) && value.number() != value.number(); };
  switch (comparison) {
    case Comparison::kEqual:
      return equal(runtime, left, right);
    case Comparison::kNotEqual:
      return !equal(runtime, left, right);
    case Comparison::kLess:
      return less(runtime, left, right);
    case Comparison::kGreater:
      return less(runtime, right, left);
    case Comparison::kLessEqual:
      return !less(runtime, right, left) && !is_nan(left) && !is_nan(right);
    case Comparison::kGreaterEqual:
      return !less(runtime, left, right) && !is_nan(left) && !is_nan(right);
    case Comparison::kIn:
      return contains(runtime, right, left);
    case Comparison::kNotIn:
      return !contains(runtime, right, left);
  }
  return false;
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  switch (container.type()) {
    case Type::kString:
      if (!item.is(Type::kString)) throw Fault("'in <string>' requires string as left operand, not " + type_name(item));
      return is_text_inside(runtime, container.text(), item.text());
    case Type::kDict:
      runtime.charge(1);
      return container.as<Dict>().find(item) != nullptr;
    case Type::kView:
      if (container.as<View>().part == View::Part::kKeys) return container.as<View>().dict().find(item) != nullptr;
      break;
    case Type::kRange: {
      const auto& range = container.as<Range>();
      if (!item.is_integral()) break;
      if (item.integer() > (Int{1} << 64) || item.integer() < -(Int{1} << 64)) return false;  // range() takes no such bounds
      const Int distance = item.integer() - range.start;
      return distance % range.step == 0 && distance / range.step >= 0 && distance / range.step < range.size();
    }
    default:
      break;
  }
  if (!is_iterable(container)) throw Fault("argument of type '" + type_name(container) + "' is not iterable");
  for (const Value& candidate : iterate(runtime, container)) {
    if (equal(runtime, candidate, item)) return true;
  }
  return false;
}

Int length(Runtime& runtime, const Value& value) {
  switch (value.type()) {
    case Type::kUndefined:
      return 0;
    case Type::kString:
      return Int(value.as<String>().length);
    case Type::kList:
    case Type::kTuple:
      return Int(value.as<Sequence>().items.size());
    case Type::kDict:
      return Int(value.as<Dict>().items.size());
    case Type::kView:
      return Int(value.as<View>().dict().items.size());
    case Type::kRange:
      return value.as<Range>().size();
    case Type::kLoop:
      return Int(value.as<Loop>().items.size());
    default:
      throw Fault("object of type '" + type_name(value) + "' has no len()");
  }
}

bool is_iterable(const Value& value) {
  switch (value.type()) {
    case Type::kNone:
    case Type::kBool:
    case Type::kInt:
    case Type::kFloat:
    case Type::kNamespace:
    case Type::kFunction:
      return false;
    default:
      return true;
  }
}

Values iterate(Runtime& runtime, const Value& value) {
  Values items;
  switch (value.type()) {
    case Type::kUndefined:
      break;
    case Type::kString: {
      const std::string& text = value.text();
      runtime.charge(text.size());
      for (size_t at = 0; at < text.size();) {
        const size_t begin = at;
        next_code_point(text, at);
        items.push_back(runtime.string(text.substr(begin, at - begin)));
      }
      break;
    }
    case Type::kList:
    case Type::kTuple:
      items = value.as<Sequence>().items;
      break;
    case Type::kDict:
      for (const auto& entry : value.as<Dict>().items) items.push_back(entry.first);
      break;
    case Type::kView: {
      const auto part = value.as<View>().part;
      for (const auto& [key, content] : value.as<View>().dict().items) {
        items.push_back(part == View::Part::kKeys ? key : part == View::Part::kValues ? content : runtime.tuple({key, content}));
      }
      break;
    }
    case Type::kRange: {
      const auto& range = value.as<Range>();
      for (Int i = 0; i < range.size(); ++i) items.push_back(Value(range.at(i)));
      break;
    }
    case Type::kIterator: {
      auto& iterator = value.mutable_as<Iterator>();
      items.assign(iterator.items.begin() + static_cast<std::ptrdiff_t>(iterator.next), iterator.items.end());
      iterator.next = iterator.items.size();
      break;
    }
    case Type::kLoop:
      throw Fault("the loop variable can not be iterated over");
    default:
      throw Fault("'" + type_name(value) + "' object is not iterable");
  }
  runtime.charge_values(items.size());
  return items;
}

Values reversed(Runtime& runtime, const Value& value) {
  if (value.is(Type::kIterator) || !is_iterable(value)) throw Fault("'" + type_name(value) + "' object is not reversible");
  Values items = iterate(runtime, value);
  std::reverse(items.begin(), items.end());
  return items;
}

}  // namespace graft::text::jinja
