#include "graft/text/jinja/json_text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "graft/text/jinja/numbers.h"
#include "graft/text/jinja/operators.h"
#include "graft/text/jinja/unicode.h"

namespace graft::text::jinja {
namespace {

void append_unicode_escape(std::string& out, unsigned unit) {
  char buffer[16];
  std::snprintf(buffer, sizeof buffer, "\\u%04x", unit);
  out += buffer;
}

void append_string(std::string& out, const std::string& text, bool ensure_ascii) {
  out += '"';
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_code_point(text, at);
    switch (c) {
      case '"':
        out += "\\\"";
        continue;
      case '\\':
        out += "\\\\";
        continue;
      case '\n':
        out += "\\n";
        continue;
      case '\r':
        out += "\\r";
        continue;
      case '\t':
        out += "\\t";
        continue;
      case '\f':
        out += "\\f";
        continue;
      case '\b':
        out += "\\b";
        continue;
      default:
        break;
    }
    if (c < 0x20 || (ensure_ascii && c == 0x7F)) {
      if (c == 0x7F) {
        out += static_cast<char>(c);
      } else {
        append_unicode_escape(out, static_cast<unsigned>(c));
      }
    } else if (ensure_ascii && c >= 0x10000) {
      append_unicode_escape(out, 0xD800U + static_cast<unsigned>((c - 0x10000) >> 10));
      append_unicode_escape(out, 0xDC00U + static_cast<unsigned>((c - 0x10000) & 0x3FF));
    } else if (ensure_ascii && c >= 0x80) {
      append_unicode_escape(out, static_cast<unsigned>(c));
    } else {
      out.append(text, begin, at - begin);
    }
  }
  out += '"';
}

std::string json_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  return float_text(value);
}

std::string key_text(const Value& key) {
  switch (key.type()) {
    case Type::kString:
      return key.text();
    case Type::kNone:
      return "null";
    case Type::kBool:
      return key.boolean() ? "true" : "false";
    case Type::kInt:
      return integer_text(key.integer());
    case Type::kFloat:
      return json_float(key.number());
    default:
      throw Fault("keys must be str, int, float, bool or None, not " + type_name(key));
  }
}

class Writer {
 public:
  Writer(Runtime& runtime, const JsonStyle& style) : runtime_(runtime), style_(style) {}

  void write(const Value& value) {
    const Runtime::Level level(runtime_.nesting, runtime_.limits().nesting, "values are nested");
    runtime_.charge(1);
    switch (value.type()) {
      case Type::kNone:
        out += "null";
        break;
      case Type::kBool:
        out += value.boolean() ? "true" : "false";
        break;
      case Type::kInt:
        out += integer_text(value.integer());
        break;
      case Type::kFloat:
        out += json_float(value.number());
        break;
      case Type::kString:
        runtime_.charge_bytes(value.text().size());
        append_string(out, value.text(), style_.ensure_ascii);
        break;
      case Type::kList:
      case Type::kTuple:
        sequence(value.as<Sequence>().items);
        break;
      case Type::kDict:
        dict(value.as<Dict>());
        break;
      default:
        throw Fault("Object of type " + type_name(value) + " is not JSON serializable");
    }
    runtime_.check_size(out.size());
  }

  std::string out;

 private:
  void line() {
    if (!style_.has_indent) return;
    out += '\n';
    for (int i = 0; i < depth_; ++i) out += style_.indent;
  }

  void sequence(const Values& items) {
    if (items.empty()) {
      out += "[]";
      return;
    }
    out += '[';
    ++depth_;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += style_.item_separator;
      line();
      write(items[i]);
    }
    --depth_;
    line();
    out += ']';
  }

  void dict(const Dict& dict) {
    if (dict.items.empty()) {
      out += "{}";
      return;
    }
    auto items = dict.items;
    if (style_.sort_keys) {
      std::stable_sort(items.begin(), items.end(), [this](const auto& a, const auto& b) { return less(runtime_, a.first, b.first); });
    }
    out += '{';
    ++depth_;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += style_.item_separator;
      line();
      append_string(out, key_text(items[i].first), style_.ensure_ascii);
      out += style_.key_separator;
      write(items[i].second);
    }
    --depth_;
    line();
    out += '}';
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  int depth_ = 0;
};

}  // namespace

std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style) {
  Writer writer(runtime, style);
  writer.write(value);
  return std::move(writer.out);
}

Value from_json(Runtime& runtime, const Json& json) {
  const Runtime::Level level(runtime.nesting, runtime.limits().nesting, "the input is nested");
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value(json.get<bool>());
    case Json::value_t::number_integer:
      return Value(Int{json.get<int64_t>()});
    case Json::value_t::number_unsigned:
      return Value(Int{json.get<uint64_t>()});
    case Json::value_t::number_float:
      return Value(json.get<double>());
    case Json::value_t::string:
      return runtime.string(json.get_ref<const std::string&>());
    case Json::value_t::array: {
      Values items;
      items.reserve(json.size());
      for (const Json& item : json) items.push_back(from_json(runtime, item));
      return runtime.list(std::move(items));
    }
    case Json::value_t::object: {
      auto dict = runtime.dict();
      for (const auto& [key, value] : json.items()) dict->set(runtime.string(key), from_json(runtime, value));
      return Value(std::move(dict));
    }
    default:
      return Value();
  }
}

}  // namespace graft::text::jinja
