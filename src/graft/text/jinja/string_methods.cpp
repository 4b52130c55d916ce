#include <algorithm>
#include <map>

#include "graft/base/strings.h"
#include "graft/text/jinja/arguments.h"
#include "graft/text/jinja/format.h"
#include "graft/text/jinja/methods.h"
#include "graft/text/jinja/operators.h"
#include "graft/text/jinja/unicode.h"

namespace graft::text::jinja {
namespace {

/// A method: the string, the call's arguments.
using Method = Value (*)(Runtime&, const Value&, const Arguments&);

Value like(Runtime& runtime, const Value& self, std::string text) { return runtime.string(std::move(text), self.as<String>().markup, {}); }

Value texts(Runtime& runtime, const Value& self, std::vector<std::string> parts, bool as_tuple = false) {
  Values items;
  items.reserve(parts.size());
  for (auto& part : parts) items.push_back(like(runtime, self, std::move(part)));
  return as_tuple ? runtime.tuple(std::move(items)) : runtime.list(std::move(items));
}

template <std::string (*kMap)(std::string_view)>
Value mapped(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("str method", arguments, {});
  runtime.charge(self.text().size() / 8);
  return like(runtime, self, kMap(self.text()));
}

/// All characters satisfy the test, and there is at least one.
template <bool (*kTest)(char32_t), bool kEmpty = false>
Value all_characters(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("str method", arguments, {});
  const std::string& text = self.text();
  runtime.charge(text.size() / 8);
  for (size_t at = 0; at < text.size();) {
    if (!kTest(next_code_point(text, at))) return Value(false);
  }
  return Value(kEmpty || !text.empty());
}

bool is_alphanumeric(char32_t c) { return is_alpha(c) || is_numeric(c); }
bool is_ascii(char32_t c) { return c < 0x80; }

/// islower / isupper: a cased character is there and every one of them has the wanted case.
template <bool kUpper>
Value has_case(Runtime& runtime, const Value& self, const Arguments&) {
  const std::string& text = self.text();
  runtime.charge(text.size() / 8);
  bool any = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (!is_cased(c)) continue;
    if (kUpper ? !is_upper(c) : !is_lower(c)) return Value(false);
    any = true;
  }
  return Value(any);
}

Value is_title(Runtime& runtime, const Value& self, const Arguments&) {
  const std::string& text = self.text();
  runtime.charge(text.size() / 8);
  bool any = false, behind_cased = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (is_cased(c)) {
      if (behind_cased ? !is_lower(c) : is_lower(c)) return Value(false);
      any = true;
    }
    behind_cased = is_cased(c);
  }
  return Value(any);
}

Value is_identifier(Runtime&, const Value& self, const Arguments&) {
  const std::string& text = self.text();
  for (size_t at = 0; at < text.size();) {
    const bool first = at == 0;
    const char32_t c = next_code_point(text, at);
    if (!(c == '_' || is_alpha(c) || (!first && is_decimal(c)))) return Value(false);
  }
  return Value(!text.empty());
}

template <bool kLeft, bool kRight>
Value stripped(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("strip", arguments, {"chars"});
  const std::string& text = self.text();
  if (!bound.has(0) || bound.is_none(0)) {
    const std::string_view once = kLeft ? strip_left(text) : std::string_view(text);
    return like(runtime, self, std::string(kRight ? strip_right(once) : once));
  }
  runtime.charge(text.size() / 8);
  return like(runtime, self, strip_characters(text, bound.text(0), kLeft, kRight));
}

template <bool kFromRight>
Value split_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("split", arguments, {"sep", "maxsplit"});
  const bool has_separator = bound.has(0) && !bound.is_none(0);
  return texts(runtime, self, split_text(runtime, self.text(), has_separator ? &bound.text(0) : nullptr, bound.integer(1, -1), kFromRight));
}

Value split_lines_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("splitlines", arguments, {"keepends"});
  return texts(runtime, self, split_lines(self.text(), bound.flag(runtime, 0, false)));
}

template <bool kFromRight>
Value partition(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("partition", arguments, {"sep"}, 1);
  const std::string& text = self.text();
  if (bound.text(0).empty()) throw Fault("empty separator");
  const auto parts = split_text(runtime, text, &bound.text(0), 1, kFromRight);
  if (parts.size() == 2) return texts(runtime, self, {parts[0], bound.text(0), parts[1]}, true);
  return kFromRight ? texts(runtime, self, {"", "", text}, true) : texts(runtime, self, {text, "", ""}, true);
}

/// start and stop of find, count, startswith, … as byte offsets; false when the range is empty before the text's end.
bool text_range(const String& self, const Bound& bound, size_t& begin, size_t& end) {
  const Int size = Int(self.length);
  const auto place = [&](size_t parameter, Int standard) {
    if (!bound.has(parameter) || bound.is_none(parameter)) return standard;
    const Int index = bound.integer(parameter, 0);
    return index < 0 ? std::max(Int{0}, index + size) : index;
  };
  const Int from = place(1, 0);
  const Int to = std::min(place(2, size), size);
  if (from > size || from > to) return false;
  begin = byte_offset(self.text, static_cast<size_t>(from));
  end = byte_offset(self.text, static_cast<size_t>(to));
  return true;
}

template <bool kFromRight, bool kMustExist>
Value find(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("find", arguments, {"sub", "start", "end"}, 1);
  const std::string& wanted = bound.text(0);
  size_t begin = 0, end = 0;
  size_t found = std::string::npos;
  runtime.charge(1 + self.text().size() / 16);
  if (text_range(self.as<String>(), bound, begin, end)) {
    const std::string_view window = std::string_view(self.text()).substr(begin, end - begin);
    if (kFromRight) runtime.charge(window.size() / 64 * std::min<size_t>(wanted.size(), 64));
    found = kFromRight ? window.rfind(wanted) : window.find(wanted);
  }
  if (found == std::string::npos && kMustExist) throw Fault("substring not found");
  if (found == std::string::npos) return Value(Int{-1});
  return Value(Int(count_code_points(std::string_view(self.text()).substr(0, begin + found))));
}

Value count_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("count", arguments, {"sub", "start", "end"}, 1);
  const std::string& wanted = bound.text(0);
  size_t begin = 0, end = 0;
  runtime.charge(1 + self.text().size() / 16);
  if (!text_range(self.as<String>(), bound, begin, end)) return Value(Int{0});
  const std::string_view window = std::string_view(self.text()).substr(begin, end - begin);
  if (wanted.empty()) return Value(Int(count_code_points(window)) + 1);
  Int count = 0;
  for (size_t at = window.find(wanted); at != std::string_view::npos; at = window.find(wanted, at + wanted.size())) ++count;
  return Value(count);
}

template <bool kAtStart>
Value has_affix(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound(kAtStart ? "startswith" : "endswith", arguments, {"prefix", "start", "end"}, 1);
  const Values candidates = bound[0].is(Type::kTuple) ? bound[0].as<Sequence>().items : Values{bound[0]};
  size_t begin = 0, end = 0;
  const bool in_range = text_range(self.as<String>(), bound, begin, end);
  runtime.charge(1 + (end - begin) / 128);
  for (const Value& candidate : candidates) {
    if (!candidate.is(Type::kString)) throw Fault("startswith and endswith need str or a tuple of str, not " + type_name(candidate));
    const std::string_view window = std::string_view(self.text()).substr(begin, end - begin);
    if (in_range && (kAtStart ? starts_with(window, candidate.text()) : ends_with(window, candidate.text()))) return Value(true);
  }
  return Value(false);
}

template <bool kAtStart>
Value without_affix(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("removeprefix", arguments, {"prefix"}, 1);
  const std::string& text = self.text();
  const std::string& affix = bound.text(0);
  if (kAtStart && starts_with(text, affix)) return like(runtime, self, text.substr(affix.size()));
  if (!kAtStart && ends_with(text, affix)) return like(runtime, self, text.substr(0, text.size() - affix.size()));
  return self;
}

Value replace_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"}, 2);
  return like(runtime, self, replace_text(runtime, self.text(), bound.text(0), bound.text(1), bound.integer(2, -1)));
}

Value join_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("join", arguments, {"iterable"}, 1);
  std::string out;
  bool is_first = true;
  for (const Value& item : iterate(runtime, bound[0])) {
    if (!item.is(Type::kString)) throw Fault("sequence item: expected str instance, " + type_name(item) + " found");
    if (!is_first) out += self.text();
    is_first = false;
    out += item.text();
    runtime.check_size(out.size());
  }
  return like(runtime, self, std::move(out));
}

template <char kSide>
Value justified(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("justify", arguments, {"width", "fillchar"}, 1);
  const std::string fill = bound.has(1) ? bound.text(1) : " ";
  if (count_code_points(fill) != 1) throw Fault("the fill character must be exactly one character long");
  return like(runtime, self, justify(runtime, self.as<String>(), bound.integer(0, 0), fill, kSide));
}

Value zero_fill(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("zfill", arguments, {"width"}, 1);
  const std::string& text = self.text();
  const bool has_sign = !text.empty() && (text[0] == '-' || text[0] == '+');
  const std::string filled = justify(runtime, self.as<String>(), bound.integer(0, 0), "0", 'r');
  if (!has_sign || filled.size() == text.size()) return like(runtime, self, filled);
  const size_t zeros = filled.size() - text.size();
  return like(runtime, self, text.substr(0, 1) + std::string(zeros, '0') + text.substr(1));
}

Value expand_tabs(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("expandtabs", arguments, {"tabsize"});
  const Int size = std::clamp(bound.integer(0, 8), Int{0}, Int{1'000'000});
  std::string out;
  Int column = 0;
  const std::string& text = self.text();
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (c == '\t') {
      const Int spaces = size > 0 ? size - column % size : 0;
      out.append(static_cast<size_t>(spaces), ' ');
      column += spaces;
      runtime.check_size(out.size());
    } else {
      append_code_point(out, c);
      column = c == '\n' || c == '\r' ? 0 : column + 1;
    }
  }
  return like(runtime, self, std::move(out));
}

Value format_method(Runtime& runtime, const Value& self, const Arguments& arguments) { return brace_format(runtime, self, arguments); }

Value format_map(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("format_map", arguments, {"mapping"}, 1);
  Arguments spread;
  if (!bound[0].is(Type::kDict)) throw Fault("format_map() needs a dict");
  for (const auto& [key, value] : bound[0].as<Dict>().items) {
    if (key.is(Type::kString)) spread.keywords.emplace_back(key.text(), value);
  }
  return brace_format(runtime, self, spread);
}

Value unavailable(Runtime&, const Value&, const Arguments&) {
  throw Fault("the str methods encode, maketrans and translate are not supported");
}

const std::map<std::string, Method>& methods() {
  static const std::map<std::string, Method> table = {{"capitalize", mapped<capitalize>},
                                                      {"casefold", mapped<fold_case>},
                                                      {"lower", mapped<to_lower>},
                                                      {"upper", mapped<to_upper>},
                                                      {"swapcase", mapped<swap_case>},
                                                      {"title", mapped<to_title>},
                                                      {"strip", stripped<true, true>},
                                                      {"lstrip", stripped<true, false>},
                                                      {"rstrip", stripped<false, true>},
                                                      {"split", split_method<false>},
                                                      {"rsplit", split_method<true>},
                                                      {"splitlines", split_lines_method},
                                                      {"partition", partition<false>},
                                                      {"rpartition", partition<true>},
                                                      {"find", find<false, false>},
                                                      {"rfind", find<true, false>},
                                                      {"index", find<false, true>},
                                                      {"rindex", find<true, true>},
                                                      {"count", count_method},
                                                      {"startswith", has_affix<true>},
                                                      {"endswith", has_affix<false>},
                                                      {"removeprefix", without_affix<true>},
                                                      {"removesuffix", without_affix<false>},
                                                      {"replace", replace_method},
                                                      {"join", join_method},
                                                      {"format", format_method},
                                                      {"format_map", format_map},
                                                      {"center", justified<'c'>},
                                                      {"ljust", justified<'l'>},
                                                      {"rjust", justified<'r'>},
                                                      {"zfill", zero_fill},
                                                      {"expandtabs", expand_tabs},
                                                      {"isspace", all_characters<is_space>},
                                                      {"isalpha", all_characters<is_alpha>},
                                                      {"isdigit", all_characters<is_digit>},
                                                      {"isdecimal", all_characters<is_decimal>},
                                                      {"isnumeric", all_characters<is_numeric>},
                                                      {"isalnum", all_characters<is_alphanumeric>},
                                                      {"isprintable", all_characters<is_printable, true>},
                                                      {"isascii", all_characters<is_ascii, true>},
                                                      {"islower", has_case<false>},
                                                      {"isupper", has_case<true>},
                                                      {"istitle", is_title},
                                                      {"isidentifier", is_identifier},
                                                      {"encode", unavailable},
                                                      {"maketrans", unavailable},
                                                      {"translate", unavailable}};
  return table;
}

}  // namespace

bool find_string_method(Runtime& runtime, const Value& self, const std::string& name, Value* result) {
  const auto found = methods().find(name);
  if (found == methods().end()) return false;
  const Method method = found->second;
  *result = runtime.function(name, [self, method](Runtime& inner, Arguments& arguments) { return method(inner, self, arguments); });
  return true;
}

}  // namespace graft::text::jinja
