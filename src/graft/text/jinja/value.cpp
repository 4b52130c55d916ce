#include "graft/text/jinja/value.h"

#include <algorithm>
#include <cmath>

#include "graft/text/jinja/numbers.h"
#include "graft/text/jinja/unicode.h"

namespace graft::text::jinja {
namespace {

constexpr int kMaximumDepth = 200;  // of nested containers: far above any conversation, far below the stack
constexpr size_t kIndexFrom = 12;   // dicts below this many keys are searched in order

void bill(Object* object, size_t bytes) {
  if (object->meter == nullptr) return;
  Meter& meter = *object->meter;
  if (bytes > meter.limit || meter.live > meter.limit - bytes) {
    throw Fault("the template holds more than " + std::to_string(meter.limit >> 20) + " MiB of values");
  }
  object->bytes = bytes;
  meter.live += bytes;
}

int depth_above(const Values& items) {
  int deepest = 0;
  for (const Value& item : items) deepest = std::max(deepest, item.depth());
  if (deepest >= kMaximumDepth) throw Fault("values are nested more than " + std::to_string(kMaximumDepth) + " deep");
  return deepest + 1;
}

}  // namespace

Type Value::type() const {
  switch (data_.index()) {
    case 0:
      return Type::kNone;
    case 1:
      return Type::kBool;
    case 2:
      return Type::kInt;
    case 3:
      return Type::kFloat;
    default:
      return object()->type;
  }
}

double Value::number() const { return is(Type::kFloat) ? std::get<double>(data_) : static_cast<double>(integer()); }

const std::string& Value::text() const { return as<String>().text; }

String::String(std::string words, Meter* payer) : Object(Type::kString, payer), text(std::move(words)), length(count_code_points(text)) {
  bill(this, sizeof(String) + text.size());
}

Sequence::Sequence(Type kind, Values entries, Meter* payer) : Object(kind, payer), items(std::move(entries)) {
  depth = depth_above(items);
  bill(this, sizeof(Sequence) + items.size() * sizeof(Value));
}

View::View(Value of_dict, Part which, Meter* payer) : Object(Type::kView, payer), owner(std::move(of_dict)), part(which) {
  depth = depth_above({owner});
}

Iterator::Iterator(Values entries, Meter* payer) : Object(Type::kIterator, payer), items(std::move(entries)) {
  depth = depth_above(items);
  bill(this, sizeof(Iterator) + items.size() * sizeof(Value));
}

const Value* Dict::find(std::string_view key) const {
  if (items.size() >= kIndexFrom) {
    const auto found = index_.find("s" + std::string(key));
    return found == index_.end() ? nullptr : &items[found->second].second;
  }
  for (const auto& [name, value] : items) {
    if (name.is(Type::kString) && name.text() == key) return &value;
  }
  return nullptr;
}

const Value* Dict::find(const Value& key) const {
  if (key.is(Type::kString)) return find(std::string_view(key.text()));
  const std::string wanted = hash_key(key);
  if (items.size() >= kIndexFrom) {
    const auto found = index_.find(wanted);
    return found == index_.end() ? nullptr : &items[found->second].second;
  }
  for (const auto& [name, value] : items) {
    if (hash_key(name) == wanted) return &value;
  }
  return nullptr;
}

void Dict::set(const Value& key, const Value& value) {
  if (const Value* present = find(key)) {
    *const_cast<Value*>(present) = value;
  } else {
    items.emplace_back(key, value);
    if (items.size() == kIndexFrom) {
      for (size_t i = 0; i < items.size(); ++i) index_.emplace(hash_key(items[i].first), i);
    } else if (items.size() > kIndexFrom) {
      index_.emplace(hash_key(key), items.size() - 1);
    }
    if (meter != nullptr) {
      constexpr size_t kEntry = 2 * sizeof(Value) + 64;
      meter->live -= bytes;
      const size_t before = std::exchange(bytes, 0);
      bill(this, before + kEntry);
    }
  }
  depth = std::max(depth, depth_above({key, value}));
}

Int Range::size() const {
  if (step > 0) return start < stop ? (stop - start - 1) / step + 1 : 0;
  return start > stop ? (start - stop - 1) / -step + 1 : 0;
}

Value constant_string(std::string text) { return Value(std::make_shared<String>(std::move(text), nullptr)); }

std::string hash_key(const Value& key) {
  switch (key.type()) {
    case Type::kNone:
      return "n";
    case Type::kBool:
    case Type::kInt:
      return "i" + integer_text(key.integer());
    case Type::kFloat: {
      const double number = key.number();
      const bool whole = std::floor(number) == number && std::fabs(number) < 1e30;
      return whole ? "i" + integer_text(static_cast<Int>(number)) : "f" + float_text(number);
    }
    case Type::kString:
      return "s" + key.text();
    case Type::kUndefined:
      return "u";
    case Type::kTuple: {
      std::string joined = "t";
      for (const Value& item : key.as<Sequence>().items) {
        const std::string part = hash_key(item);
        joined += std::to_string(part.size()) + ":" + part;
      }
      return joined;
    }
    case Type::kList:
    case Type::kDict:
    case Type::kView:
      throw Fault("unhashable type: '" + type_name(key) + "'");
    default:
      return "p" + std::to_string(reinterpret_cast<uintptr_t>(key.object()));
  }
}

std::string type_name(const Value& value) {
  switch (value.type()) {
    case Type::kUndefined:
      return "Undefined";
    case Type::kNone:
      return "NoneType";
    case Type::kBool:
      return "bool";
    case Type::kInt:
      return "int";
    case Type::kFloat:
      return "float";
    case Type::kString:
      return "str";
    case Type::kList:
      return "list";
    case Type::kTuple:
      return "tuple";
    case Type::kDict:
      return "dict";
    case Type::kView: {
      const auto part = value.as<View>().part;
      return part == View::Part::kKeys ? "dict_keys" : part == View::Part::kValues ? "dict_values" : "dict_items";
    }
    case Type::kRange:
      return "range";
    case Type::kIterator:
      return "generator";
    case Type::kNamespace:
      return "Namespace";
    case Type::kLoop:
      return "LoopContext";
    case Type::kFunction:
      return "function";
  }
  return "object";
}

}  // namespace graft::text::jinja
