#include "graft/text/jinja/loop.h"
#include "graft/text/jinja/numbers.h"
#include "graft/text/jinja/operators.h"
#include "graft/text/jinja/string_literal.h"

// str() and repr().
namespace graft::text::jinja {
namespace {

void append_repr(Runtime& runtime, std::string& out, const Value& value);

void append_items(Runtime& runtime, std::string& out, const Values& items) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += ", ";
    append_repr(runtime, out, items[i]);
  }
}

void append_dict(Runtime& runtime, std::string& out, const std::vector<std::pair<Value, Value>>& items) {
  out += '{';
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += ", ";
    append_repr(runtime, out, items[i].first);
    out += ": ";
    append_repr(runtime, out, items[i].second);
  }
  out += '}';
}

void append_range(std::string& out, const Range& range) {
  out += "range(" + integer_text(range.start) + ", " + integer_text(range.stop);
  if (range.step != 1) out += ", " + integer_text(range.step);
  out += ')';
}

void append_repr(Runtime& runtime, std::string& out, const Value& value) {
  const Runtime::Level level(runtime.nesting, runtime.limits().nesting, "values are nested");
  runtime.charge(1);
  switch (value.type()) {
    case Type::kUndefined:
      out += "Undefined";
      break;
    case Type::kNone:
      out += "None";
      break;
    case Type::kBool:
      out += value.boolean() ? "True" : "False";
      break;
    case Type::kInt:
      out += integer_text(value.integer());
      break;
    case Type::kFloat:
      out += float_text(value.number());
      break;
    case Type::kString:
      runtime.charge_bytes(value.text().size());
      out += value.as<String>().markup ? "Markup(" + quoted(value.text()) + ")" : quoted(value.text());
      break;
    case Type::kList:
      out += '[';
      append_items(runtime, out, value.as<Sequence>().items);
      out += ']';
      break;
    case Type::kTuple:
      out += '(';
      append_items(runtime, out, value.as<Sequence>().items);
      out += value.as<Sequence>().items.size() == 1 ? ",)" : ")";
      break;
    case Type::kDict:
      append_dict(runtime, out, value.as<Dict>().items);
      break;
    case Type::kView:
      out += type_name(value) + "([";
      append_items(runtime, out, iterate(runtime, value));
      out += "])";
      break;
    case Type::kRange:
      append_range(out, value.as<Range>());
      break;
    case Type::kNamespace: {
      std::vector<std::pair<Value, Value>> items;
      for (const auto& [name, content] : value.as<Namespace>().attributes) items.emplace_back(runtime.string(name), content);
      out += "<Namespace ";
      append_dict(runtime, out, items);
      out += '>';
      break;
    }
    case Type::kLoop: {
      const auto& loop = value.as<Loop>();
      out += "<LoopContext " + std::to_string(loop.index0 + 1) + "/" + std::to_string(loop.items.size()) + ">";
      break;
    }
    case Type::kIterator:
      throw Fault("a generator has no text; add the filter list, join or first");
    case Type::kFunction:
      throw Fault("the function '" + value.as<Function>().name + "' has no text; is a call's () missing?");
  }
  runtime.check_size(out.size());
}

}  // namespace

std::string to_repr(Runtime& runtime, const Value& value) {
  std::string out;
  append_repr(runtime, out, value);
  return out;
}

std::string to_text(Runtime& runtime, const Value& value) {
  if (value.is(Type::kString)) return runtime.charge_bytes(value.text().size()), value.text();
  if (value.is(Type::kUndefined)) return "";
  return to_repr(runtime, value);
}

}  // namespace graft::text::jinja
