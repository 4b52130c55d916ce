#include <algorithm>

#include "graft/base/strings.h"
#include "graft/text/jinja/arguments.h"
#include "graft/text/jinja/filters.h"
#include "graft/text/jinja/format.h"
#include "graft/text/jinja/json_text.h"
#include "graft/text/jinja/markup.h"
#include "graft/text/jinja/methods.h"
#include "graft/text/jinja/operators.h"
#include "graft/text/jinja/unicode.h"

namespace graft::text::jinja {
namespace {

/// soft_str: a string as it is (Markup stays Markup), anything else by str().
Value soft_string(Runtime& runtime, const Value& value) {
  return value.is(Type::kString) ? value : runtime.string(to_text(runtime, value));
}

Value like(Runtime& runtime, const Value& source, std::string text) {
  return runtime.string(std::move(text), source.as<String>().markup, {});
}

template <std::string (*kMap)(std::string_view)>
Value mapped(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("filter", arguments, {});
  const Value text = soft_string(runtime, input);
  runtime.charge(text.text().size() / 8);
  return like(runtime, text, kMap(text.text()));
}

Value string_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("string", arguments, {});
  return soft_string(runtime, input);
}

Value trim(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("trim", arguments, {"chars"});
  const Value text = soft_string(runtime, input);
  if (!bound.has(0) || bound.is_none(0)) return like(runtime, text, std::string(strip(text.text())));
  runtime.charge(text.text().size() / 8);
  return like(runtime, text, strip_characters(text.text(), bound.text(0), true, true));
}

Value replace(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"}, 2);
  const Int count = bound.has(2) && !bound.is_none(2) ? bound.integer(2, -1) : Int{-1};
  return runtime.string(replace_text(runtime, to_text(runtime, input), to_text(runtime, bound[0]), to_text(runtime, bound[1]), count));
}

/// item[0].upper() + item[1:].lower() of the pieces between word beginnings, which is not str.title.
std::string title_words(std::string_view text) {
  static constexpr std::string_view kBreaks = "-({[<";
  std::string out;
  bool at_word_start = true;
  size_t word = 0;
  const auto flush = [&](size_t end) {
    if (end <= word) return;
    size_t first = word;
    next_code_point(text, first);
    out += to_upper(text.substr(word, first - word)) + to_lower(text.substr(first, end - first));
  };
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_code_point(text, at);
    const bool is_break = is_space(c) || (c < 0x80 && kBreaks.find(static_cast<char>(c)) != std::string_view::npos);
    if (is_break != at_word_start) {
      if (is_break) flush(begin);
      if (!is_break) word = begin;
      at_word_start = is_break;
    }
    if (is_break) {
      out += text.substr(begin, at - begin);
      word = at;
    }
  }
  flush(at_word_start ? word : text.size());
  return out;
}

Value center(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("center", arguments, {"width"});
  const Value text = soft_string(runtime, input);
  return like(runtime, text, justify(runtime, text.as<String>(), bound.integer(0, 80), " ", 'c'));
}

Value indent(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("indent", arguments, {"width", "first", "blank"});
  if (input.is(Type::kUndefined)) use_of_undefined(input);
  if (!input.is(Type::kString)) throw Fault("the filter 'indent' needs a str, not " + type_name(input));
  std::string indention;
  if (bound.has(0) && bound[0].is(Type::kString)) {
    indention = bound.text(0);
  } else {
    const Int width = bound.integer(0, 4);
    runtime.check_size(width > Int(runtime.limits().output) ? runtime.limits().output + 1 : 0);
    indention.assign(static_cast<size_t>(std::max(Int{0}, width)), ' ');
  }
  const bool blank = bound.flag(runtime, 2, false);
  std::string out = bound.flag(runtime, 1, false) ? indention : "";
  bool is_first = true;
  for (const std::string& line : split_lines(input.text() + "\n", false)) {
    if (!is_first) out += "\n" + (blank || !line.empty() ? indention : "");
    is_first = false;
    out += line;
    runtime.check_size(out.size());
  }
  return like(runtime, input, std::move(out));
}

Value truncate(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("truncate", arguments, {"length", "killwords", "end", "leeway"});
  if (input.is(Type::kUndefined)) return input;
  if (!input.is(Type::kString)) throw Fault("the filter 'truncate' needs a str, not " + type_name(input));
  const Int size = bound.integer(0, 255);
  const std::string end = bound.has(2) ? bound.text(2) : "...";
  const Int leeway = bound.has(3) && !bound.is_none(3) ? bound.integer(3, 5) : Int{5};
  const Int keep = size - Int(count_code_points(end));
  if (keep < 0) throw Fault("truncate: length is smaller than the end text");
  if (leeway < 0) throw Fault("truncate: leeway is negative");
  if (Int(input.as<String>().length) <= size + leeway) return input;
  std::string kept = input.text().substr(0, byte_offset(input.text(), static_cast<size_t>(keep)));
  if (!bound.flag(runtime, 1, false)) {
    const size_t space = kept.rfind(' ');
    if (space != std::string::npos) kept.resize(space);
  }
  return like(runtime, input, kept + end);
}

Value word_count(Runtime& runtime, const Value& input, const Arguments&) {
  const std::string text = to_text(runtime, input);
  runtime.charge(text.size() / 8);
  Int words = 0;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    const bool is_word = c == '_' || is_alpha(c) || is_numeric(c);
    words += is_word && !inside ? 1 : 0;
    inside = is_word;
  }
  return Value(words);
}

Value format_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.keywords.empty()) {
    throw Fault("format: can't handle positional and keyword arguments at the same time");
  }
  if (arguments.keywords.empty()) return percent_format(runtime, soft_string(runtime, input), runtime.tuple(arguments.positional));
  auto dict = runtime.dict();
  for (const auto& [name, value] : arguments.keywords) dict->set(runtime.string(name), value);
  return percent_format(runtime, soft_string(runtime, input), Value(std::move(dict)));
}

Value escape(Runtime& runtime, const Value& input, const Arguments&) {
  if (input.is(Type::kString)) return runtime.string(escaped_text(input), true, {});
  return runtime.string(escape_html(to_text(runtime, input)), true, {});
}

Value force_escape(Runtime& runtime, const Value& input, const Arguments&) {
  return runtime.string(escape_html(to_text(runtime, input)), true, {});
}

Value safe(Runtime& runtime, const Value& input, const Arguments&) { return runtime.string(to_text(runtime, input), true, {}); }

std::string percent_encoded(std::string_view text, bool for_query) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (byte < 0x80 && std::isalnum(byte) != 0) || c == '_' || c == '.' || c == '-' || c == '~' || (c == '/' && !for_query);
    if (plain) {
      out += c;
    } else if (c == ' ' && for_query) {
      out += '+';
    } else {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

Value url_encode(Runtime& runtime, const Value& input, const Arguments&) {
  if (input.is(Type::kString) || !is_iterable(input)) return runtime.string(percent_encoded(to_text(runtime, input), false));
  std::string out;
  const Value pairs = input.is(Type::kDict) ? runtime.view(input, View::Part::kItems) : input;
  for (const Value& pair : iterate(runtime, pairs)) {
    const Values sides = iterate(runtime, pair);
    if (sides.size() != 2) throw Fault("urlencode needs pairs");
    out += (out.empty() ? "" : "&") + percent_encoded(to_text(runtime, sides[0]), true) + "=" +
           percent_encoded(to_text(runtime, sides[1]), true);
  }
  return runtime.string(std::move(out));
}

Value xml_attributes(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("xmlattr", arguments, {"autospace"});
  if (!input.is(Type::kDict)) throw Fault("the filter 'xmlattr' needs a dict");
  std::string out;
  for (const auto& [key, value] : input.as<Dict>().items) {
    if (value.is(Type::kNone) || value.is(Type::kUndefined)) continue;
    const std::string name = to_text(runtime, key);
    if (name.find_first_of(" \t\n\r\f\v/>=") != std::string::npos) throw Fault("invalid character in attribute name: '" + name + "'");
    out += (out.empty() ? "" : " ") + escape_html(name) + "=\"" + escape_html(to_text(runtime, value)) + "\"";
  }
  const bool space = bound.flag(runtime, 0, true) && !out.empty();
  return runtime.string((space ? " " : "") + out);
}

Value to_json_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = bound.flag(runtime, 0, false);
  style.sort_keys = bound.flag(runtime, 3, false);
  if (bound.has(1) && !bound.is_none(1)) {
    style.has_indent = true;
    style.item_separator = ",";
    if (bound[1].is(Type::kString)) {
      style.indent = bound.text(1);
    } else {
      style.indent.assign(static_cast<size_t>(std::clamp(bound.integer(1, 0), Int{0}, Int{10'000})), ' ');
    }
  }
  if (bound.has(2) && !bound.is_none(2)) {
    const Values separators = iterate(runtime, bound[2]);
    if (separators.size() != 2 || !separators[0].is(Type::kString) || !separators[1].is(Type::kString)) {
      throw Fault("tojson: separators must be two strings");
    }
    style.item_separator = separators[0].text();
    style.key_separator = separators[1].text();
  }
  return runtime.string(to_json(runtime, input, style));
}

}  // namespace

const std::vector<NamedFilter>& text_filters() {
  static const std::vector<NamedFilter> filters = {
      {"string", string_filter},
      {"upper", mapped<to_upper>},
      {"lower", mapped<to_lower>},
      {"capitalize", mapped<capitalize>},
      {"title", mapped<title_words>},
      {"trim", trim},
      {"replace", replace},
      {"center", center},
      {"indent", indent},
      {"truncate", truncate},
      {"wordcount", word_count},
      {"format", format_filter},
      {"e", escape},
      {"escape", escape},
      {"forceescape", force_escape},
      {"safe", safe},
      {"urlencode", url_encode},
      {"xmlattr", xml_attributes},
      {"tojson", to_json_filter},
  };
  return filters;
}

}  // namespace graft::text::jinja
