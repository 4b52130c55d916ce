#include <algorithm>

#include "graft/text/jinja/access.h"
#include "graft/text/jinja/format.h"
#include "graft/text/jinja/format_spec.h"
#include "graft/text/jinja/numbers.h"
#include "graft/text/jinja/operators.h"
#include "graft/text/jinja/unicode.h"

namespace graft::text::jinja {
namespace {

FormatSpec parse_spec(const std::string& text) {
  FormatSpec spec;
  size_t at = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  size_t behind = 0;
  if (!text.empty()) next_code_point(text, behind);
  if (behind > 0 && behind < text.size() && is_align(text[behind])) {
    spec.fill = text.substr(0, behind);
    spec.align = text[behind];
    at = behind + 1;
  } else if (!text.empty() && is_align(text[0])) {
    spec.align = text[at++];
  }
  const auto peek = [&] { return at < text.size() ? text[at] : '\0'; };
  if (peek() == '+' || peek() == '-' || peek() == ' ') spec.sign = text[at++];
  if (peek() == '#') spec.alternate = true, ++at;
  if (peek() == '0') {
    if (spec.align == '\0') spec.fill = "0", spec.align = '=';
    ++at;
  }
  const auto number = [&] {
    Int value = 0;
    while (peek() >= '0' && peek() <= '9') value = std::min(value * 10 + (text[at++] - '0'), Int{1} << 40);
    return value;
  };
  spec.width = number();
  if (peek() == ',' || peek() == '_') spec.grouped = true, spec.grouping = text[at++];
  if (peek() == '.') ++at, spec.precision = number();
  if (at < text.size()) spec.type = text[at++];
  if (at != text.size()) throw Fault("invalid format specifier '" + text + "'");
  return spec;
}

/// One rendering of text.format(…).
class BraceFormat {
 public:
  BraceFormat(Runtime& runtime, const Arguments& arguments) : runtime_(runtime), arguments_(arguments) {}

  std::string run(const std::string& text, int depth) {
    if (depth > 1) throw Fault("format: fields are nested too deep");
    std::string out;
    for (size_t at = 0; at < text.size();) {
      const char c = text[at];
      if (c != '{' && c != '}') {
        out += c;
        ++at;
      } else if (at + 1 < text.size() && text[at + 1] == c) {
        out += c;
        at += 2;
      } else if (c == '}') {
        throw Fault("single '}' encountered in format string");
      } else {
        const size_t end = closing(text, at);
        out += field(text.substr(at + 1, end - at - 1), depth);
        at = end + 1;
      }
      runtime_.check_size(out.size());
    }
    runtime_.charge_bytes(text.size());
    return out;
  }

 private:
  static size_t closing(const std::string& text, size_t open) {
    int depth = 0;
    for (size_t at = open; at < text.size(); ++at) {
      if (text[at] == '{') ++depth;
      if (text[at] == '}' && --depth == 0) return at;
    }
    throw Fault("expected '}' before end of format string");
  }

  std::string field(const std::string& body, int depth) {
    runtime_.charge(1);
    const size_t colon = body.find(':');
    std::string name = body.substr(0, colon);
    char conversion = '\0';
    if (name.size() >= 2 && name[name.size() - 2] == '!') {
      conversion = name.back();
      name.resize(name.size() - 2);
    }
    Value value = resolve(name);  // before the specification, whose own {} take the numbers behind it
    const std::string spec_text = colon == std::string::npos ? "" : run(body.substr(colon + 1), depth + 1);
    if (conversion == 'r' || conversion == 'a') value = runtime_.string(to_repr(runtime_, value));
    if (conversion == 's') value = runtime_.string(to_text(runtime_, value));
    if (spec_text.empty()) return to_text(runtime_, value);
    const FormatSpec spec = parse_spec(spec_text);
    if (value.is_number()) return format_number(runtime_, value, spec);  // a boolean too, as in Python once there is a specification
    if (spec.type != '\0' && spec.type != 's') throw Fault("unknown format code for an object of type '" + type_name(value) + "'");
    if (!value.is(Type::kString)) throw Fault("unsupported format string passed to " + type_name(value) + ".__format__");
    return format_string(runtime_, to_text(runtime_, value), spec);
  }

  Value resolve(const std::string& name) {
    const size_t end = std::min(name.find_first_of(".["), name.size());
    Value value = named(name.substr(0, end));
    for (size_t at = end; at < name.size();) {
      if (name[at] == '.') {
        const size_t next = std::min(name.find_first_of(".[", at + 1), name.size());
        value = get_attribute(runtime_, value, name.substr(at + 1, next - at - 1));
        at = next;
      } else if (name[at] == '[') {
        const size_t next = name.find(']', at);
        if (next == std::string::npos) throw Fault("missing ']' in format string");
        const std::string key = name.substr(at + 1, next - at - 1);
        const bool is_number = !key.empty() && key.find_first_not_of("0123456789") == std::string::npos;
        value = get_item(runtime_, value, is_number ? Value(parse_integer(key).value()) : runtime_.string(key));
        at = next + 1;
      } else {
        throw Fault("only '.' or '[' may follow ']' in format field specifier");
      }
    }
    return value;
  }

  Value named(const std::string& name) {
    const bool is_number = !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
    if (name.empty() || is_number) {
      const size_t place = is_number ? static_cast<size_t>(std::min(parse_integer(name).value(), Int{1} << 40)) : next_++;
      if (place >= arguments_.positional.size())
        throw Fault("Replacement index " + std::to_string(place) + " out of range for positional args tuple");
      return arguments_.positional[place];
    }
    for (const auto& [known, value] : arguments_.keywords) {
      if (known == name) return value;
    }
    throw Fault("format: there is no argument '" + name + "'");
  }

  Runtime& runtime_;
  const Arguments& arguments_;
  size_t next_ = 0;
};

}  // namespace

Value brace_format(Runtime& runtime, const Value& text, const Arguments& arguments) {
  return runtime.string(BraceFormat(runtime, arguments).run(text.text(), 0), text.as<String>().markup, {});
}

}  // namespace graft::text::jinja
