#include <algorithm>

#include "graft/text/jinja/access.h"
#include "graft/text/jinja/format.h"
#include "graft/text/jinja/format_spec.h"
#include "graft/text/jinja/markup.h"
#include "graft/text/jinja/numbers.h"
#include "graft/text/jinja/operators.h"
#include "graft/text/jinja/unicode.h"

namespace graft::text::jinja {
namespace {

/// One rendering of `text % values`.
class PercentFormat {
 public:
  PercentFormat(Runtime& runtime, const Value& text, const Value& values) : runtime_(runtime), text_(text.text()), values_(values) {
    is_tuple_ = values.is(Type::kTuple);
    markup_ = text.as<String>().markup;
  }

  Value run() {
    std::string out;
    while (at_ < text_.size()) {
      const size_t percent = std::min(text_.find('%', at_), text_.size());
      out.append(text_, at_, percent - at_);
      at_ = percent + 1;
      if (percent < text_.size()) out += directive();
      runtime_.check_size(out.size());
      runtime_.charge(1);
    }
    const bool may_stay = values_.is(Type::kDict) || (used_mapping_ && !is_tuple_);
    const bool all_used = is_tuple_ ? next_ >= values_.as<Sequence>().items.size() : next_ > 0 || used_mapping_;
    if (!all_used && !may_stay && !is_mapping_like()) throw Fault("not all arguments converted during string formatting");
    return runtime_.string(std::move(out), markup_, {});
  }

 private:
  /// Python lets values that have [] but are no tuple or str go unused.
  bool is_mapping_like() const {
    return values_.is(Type::kList) || values_.is(Type::kDict) || values_.is(Type::kRange) || values_.is(Type::kUndefined);
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  Value argument() {
    if (!is_tuple_) {
      if (next_++ > 0) throw Fault("not enough arguments for format string");
      return values_;
    }
    const Values& items = values_.as<Sequence>().items;
    if (next_ >= items.size()) throw Fault("not enough arguments for format string");
    return items[next_++];
  }

  Int number() {
    if (peek() == '*') {
      ++at_;
      return as_index(argument(), "the width of a format");
    }
    Int value = 0;
    while (peek() >= '0' && peek() <= '9') value = std::min(value * 10 + (text_[at_++] - '0'), Int{1} << 40);
    return value;
  }

  Value keyed() {
    const size_t end = text_.find(')', at_);
    if (end == std::string::npos) throw Fault("incomplete format key");
    if (!values_.is(Type::kDict)) throw Fault("format requires a mapping");
    const std::string key = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    const Value* found = values_.as<Dict>().find(std::string_view(key));
    if (found == nullptr) throw Fault("format key '" + key + "' is missing");
    used_mapping_ = true;
    return *found;
  }

  std::string directive() {
    FormatSpec spec;
    Value value;
    bool has_value = false;
    if (peek() == '(') {
      value = keyed();
      has_value = true;
    }
    bool zero = false;
    for (; peek() == '-' || peek() == '+' || peek() == ' ' || peek() == '#' || peek() == '0'; ++at_) {
      if (peek() == '-') spec.align = '<';
      if (peek() == '+' || (peek() == ' ' && spec.sign != '+')) spec.sign = peek();
      if (peek() == '#') spec.alternate = true;
      if (peek() == '0') zero = true;
    }
    spec.width = number();
    if (spec.width < 0) {
      spec.align = '<';
      spec.width = -spec.width;
    }
    if (peek() == '.') {
      ++at_;
      spec.precision = std::max(Int{0}, number());
    }
    while (peek() == 'l' || peek() == 'h' || peek() == 'L') ++at_;
    if (at_ >= text_.size()) throw Fault("incomplete format");
    const char type = text_[at_++];
    if (type == '%') return "%";
    if (!has_value) value = argument();
    return convert(value, type, spec, zero);
  }

  std::string convert(const Value& value, char type, FormatSpec spec, bool zero) {
    if (spec.align == '\0') spec.align = '>';
    switch (type) {
      case 's': {
        std::string text = markup_ && value.is(Type::kString) ? escaped_text(value) : to_text(runtime_, value);
        return format_string(runtime_, std::move(text), spec);
      }
      case 'r':
      case 'a':
        return format_string(runtime_, to_repr(runtime_, value), spec);
      case 'c':
        if (value.is(Type::kString) && value.as<String>().length == 1) return format_string(runtime_, value.text(), spec);
        break;
      case 'd':
      case 'i':
      case 'u':
      case 'o':
      case 'x':
      case 'X':
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        break;
      default:
        throw Fault(std::string("unsupported format character '") + type + "'");
    }
    if (value.is(Type::kUndefined)) use_of_undefined(value);
    if (!value.is_number()) throw Fault(std::string("%") + type + " format: a real number is required, not " + type_name(value));
    if (zero && spec.align != '<') {
      spec.fill = "0";
      spec.align = '=';
    }
    const bool integer_type = std::string_view("diuoxX").find(type) != std::string_view::npos;
    spec.type = type == 'i' || type == 'u' ? 'd' : type;
    if (!integer_type) return format_number(runtime_, type == 'c' ? value : Value(value.number()), spec);
    if (value.is(Type::kFloat) && type != 'd' && type != 'i' && type != 'u') throw Fault("an integer is required for this format");
    return integer(value.is(Type::kFloat) ? Value(truncate_to_integer(value.number())) : value, spec);
  }

  /// In % formats an integer's precision is its least number of digits.
  std::string integer(const Value& value, FormatSpec spec) {
    if (spec.precision < 0) return format_number(runtime_, value, spec);
    if (spec.precision > 1000) throw Fault("the format's precision is too large");
    FormatSpec digits = spec;
    digits.width = spec.precision + (value.integer() < 0 || spec.sign != '-' ? 1 : 0);
    digits.fill = "0";
    digits.align = '=';
    return pad(runtime_, "", format_number(runtime_, value, digits), spec, '>');
  }

  Runtime& runtime_;
  const std::string& text_;
  const Value& values_;
  size_t at_ = 0, next_ = 0;
  bool is_tuple_ = false, markup_ = false, used_mapping_ = false;
};

}  // namespace

Value percent_format(Runtime& runtime, const Value& text, const Value& values) { return PercentFormat(runtime, text, values).run(); }

}  // namespace graft::text::jinja
