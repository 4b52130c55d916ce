#include "graft/text/jinja/lexer.h"

#include <algorithm>
#include <array>

#include "graft/base/error.h"
#include "graft/base/strings.h"
#include "graft/text/jinja/numbers.h"
#include "graft/text/jinja/string_literal.h"
#include "graft/text/jinja/unicode.h"

namespace graft::text::jinja {
namespace {

constexpr size_t kMaximumSource = size_t{4} << 20;

std::string normalise_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();  // keep_trailing_newline is off
  return out;
}

bool is_digit_char(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 0x80; }

class Lexer {
 public:
  Lexer(std::string source, const std::string& origin) : source_(std::move(source)), origin_(origin) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) text_until_tag();
    add(TokenType::kEnd, "", at_);
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return std::string_view(source_).substr(at_); }
  bool next_is(std::string_view wanted) const { return starts_with(rest(), wanted); }

  Place place_of(size_t offset) {
    // Offsets only grow, so counting goes on from the last one.
    while (counted_ < offset) {
      if (source_[counted_] == '\n') {
        ++place_.line;
        place_.column = 1;
      } else if ((static_cast<unsigned char>(source_[counted_]) & 0xC0) != 0x80) {
        ++place_.column;
      }
      ++counted_;
    }
    return place_;
  }

  void add(TokenType type, std::string text, size_t offset) { tokens_.push_back(Token{type, std::move(text), place_of(offset)}); }

  [[noreturn]] void fail(size_t offset, const std::string& message) {
    syntax_error(origin_, offset < counted_ ? place_ : place_of(offset), message);
  }

  void skip_space() {
    while (at_ < source_.size()) {
      size_t behind = at_;
      if (!is_space(next_code_point(source_, behind))) break;
      at_ = behind;
    }
  }

  size_t find_tag() const {
    for (size_t i = at_; (i = source_.find('{', i)) != std::string::npos; ++i) {
      if (i + 1 < source_.size() && (source_[i + 1] == '%' || source_[i + 1] == '{' || source_[i + 1] == '#')) return i;
    }
    return std::string::npos;
  }

  /// Data before a tag, with `sign` and lstrip_blocks applied.
  void add_data(size_t begin, size_t end, char sign, bool is_variable) {
    std::string_view text = std::string_view(source_).substr(begin, end - begin);
    if (sign == '-') {
      text = strip_right(text);
    } else if (sign != '+' && !is_variable) {
      const size_t newline = text.rfind('\n');
      const size_t line_begin = newline == std::string_view::npos ? 0 : newline + 1;
      const bool at_line_start = line_begin > 0 || line_starting_;
      if (at_line_start && strip(text.substr(line_begin)).empty()) text = text.substr(0, line_begin);
    }
    if (!text.empty()) add(TokenType::kData, std::string(text), begin);
  }

  void text_until_tag() {
    const size_t tag = find_tag();
    if (tag == std::string::npos) {
      add(TokenType::kData, std::string(rest()), at_);
      at_ = source_.size();
      return;
    }
    const char kind = source_[tag + 1];
    const char after = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    const char sign = after == '-' || after == '+' ? after : '\0';
    add_data(at_, tag, sign, kind == '{');
    at_ = tag + 2 + (sign != '\0' ? 1 : 0);
    if (kind == '#') return comment(tag);
    if (kind == '%' && raw_block(tag)) return;
    add(kind == '{' ? TokenType::kVariableBegin : TokenType::kBlockBegin, "", tag);
    inside_tag(kind == '{');
  }

  /// Moves behind an end tag of `close` with the white space it eats. False when none stands here.
  bool end_of_tag(std::string_view close, bool trim_newline) {
    if (next_is("-" + std::string(close))) {
      at_ += 1 + close.size();
      const size_t begin = at_;
      skip_space();
      line_starting_ = at_ > begin && source_[at_ - 1] == '\n';
      return true;
    }
    if (trim_newline && next_is("+" + std::string(close))) {
      at_ += 1 + close.size();
      line_starting_ = false;
      return true;
    }
    if (!next_is(close)) return false;
    at_ += close.size();
    line_starting_ = trim_newline && at_ < source_.size() && source_[at_] == '\n';
    if (line_starting_) ++at_;
    return true;
  }

  void comment(size_t tag) {
    const size_t end = source_.find("#}", at_);
    if (end == std::string::npos) fail(tag, "missing end of comment tag");
    const bool has_sign = end > at_ && (source_[end - 1] == '-' || source_[end - 1] == '+');
    at_ = end - (has_sign ? 1 : 0);
    end_of_tag("#}", true);
  }

  bool raw_block(size_t tag) {
    const size_t begin = at_;
    skip_space();
    if (!next_is("raw")) return at_ = begin, false;
    at_ += 3;
    skip_space();
    if (!next_is("%}") && !next_is("-%}")) return at_ = begin, false;
    const bool strip_after = next_is("-%}");
    at_ += strip_after ? 3 : 2;
    if (strip_after) skip_space();
    line_starting_ = at_ > 0 && source_[at_ - 1] == '\n';
    const size_t data = at_;
    for (size_t i = data; (i = source_.find("{%", i)) != std::string::npos; ++i) {
      at_ = i + 2;
      const char sign = at_ < source_.size() && (source_[at_] == '-' || source_[at_] == '+') ? source_[at_] : '\0';
      if (sign != '\0') ++at_;
      skip_space();
      if (!next_is("endraw")) continue;
      at_ += 6;
      skip_space();
      if (!next_is("%}") && !next_is("-%}") && !next_is("+%}")) continue;
      add_data(data, i, sign, false);
      end_of_tag("%}", true);
      return true;
    }
    fail(tag, "missing end of raw directive");
  }

  void inside_tag(bool is_variable) {
    brackets_.clear();
    while (true) {
      if (brackets_.empty() && (is_variable ? next_is("}}") || next_is("-}}") : next_is("%}") || next_is("-%}") || next_is("+%}"))) {
        add(is_variable ? TokenType::kVariableEnd : TokenType::kBlockEnd, "", at_);
        end_of_tag(is_variable ? "}}" : "%}", !is_variable);
        return;
      }
      if (at_ >= source_.size()) return;  // the parser reports what is missing
      size_t behind = at_;
      if (is_space(next_code_point(source_, behind))) {
        skip_space();
      } else {
        token();
      }
    }
  }

  void token() {
    const char c = source_[at_];
    if (is_digit_char(c)) return number();
    if (is_name_start(c)) return name();
    if (c == '\'' || c == '"') return string(c);
    static constexpr std::array<std::string_view, 27> kOperators = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                                    "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                                    ">",  "<",  "=",  ".",  ":",  "|",  ",", ";", "?"};
    const auto found = std::find_if(kOperators.begin(), kOperators.end(), [&](std::string_view op) { return next_is(op); });
    if (found == kOperators.end() || *found == "?") {
      fail(at_, "unexpected character '" + std::string(rest().substr(0, 1)) + "'");
    }
    balance(c);
    add(TokenType::kOperator, std::string(*found), at_);
    at_ += found->size();
  }

  void balance(char c) {
    if (c == '(') brackets_ += ')';
    if (c == '[') brackets_ += ']';
    if (c == '{') brackets_ += '}';
    if (c != ')' && c != ']' && c != '}') return;
    if (brackets_.empty()) fail(at_, std::string("unexpected '") + c + "'");
    if (brackets_.back() != c) fail(at_, std::string("unexpected '") + c + "', expected '" + brackets_.back() + "'");
    brackets_.pop_back();
  }

  size_t digits_from(size_t i) const {
    while (i < source_.size() &&
           (is_digit_char(source_[i]) || (source_[i] == '_' && i + 1 < source_.size() && is_digit_char(source_[i + 1]))))
      ++i;
    return i;
  }

  size_t zeros_from(size_t i) const {
    while (i < source_.size() && (source_[i] == '0' || (source_[i] == '_' && i + 1 < source_.size() && source_[i + 1] == '0'))) ++i;
    return i;
  }

  void number() {
    const size_t begin = at_;
    size_t end = digits_from(begin);
    bool is_float = false;
    if (begin == 0 || source_[begin - 1] != '.') {
      if (end + 1 < source_.size() && source_[end] == '.' && is_digit_char(source_[end + 1])) {
        end = digits_from(end + 1);
        is_float = true;
      }
      if (end < source_.size() && (source_[end] | 0x20) == 'e') {
        size_t digits = end + 1;
        if (digits < source_.size() && (source_[digits] == '+' || source_[digits] == '-')) ++digits;
        if (digits < source_.size() && is_digit_char(source_[digits])) {
          end = digits_from(digits);
          is_float = true;
        }
      }
    }
    if (!is_float && source_[begin] == '0') end = zeros_from(begin);  // Python has no leading zeros: 0777 is 0, then 777
    if (!is_float && end == begin + 1 && source_[begin] == '0' && end + 1 < source_.size()) end = prefixed_integer(end);
    const std::string text = source_.substr(begin, end - begin);
    add(is_float ? TokenType::kFloat : TokenType::kInteger, text, begin);
    at_ = end;
    if (is_float) {
      tokens_.back().number = parse_float(text).value_or(0);
      return;
    }
    try {
      tokens_.back().integer = parse_integer(text, text.size() > 1 && text[0] == '0' ? 0 : 10).value();
    } catch (const std::exception&) {
      syntax_error(origin_, tokens_.back().place, "the integer " + text.substr(0, 40) + " is malformed or too large");
    }
  }

  size_t prefixed_integer(size_t end) const {
    const auto is_in = [](char c, char prefix) {
      if (prefix == 'b') return c == '0' || c == '1';
      if (prefix == 'o') return c >= '0' && c <= '7';
      return is_digit_char(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
    };
    const char prefix = static_cast<char>(source_[end] | 0x20);
    if (prefix != 'x' && prefix != 'o' && prefix != 'b') return end;
    size_t i = end + 1;
    while (i < source_.size() &&
           (is_in(source_[i], prefix) || (source_[i] == '_' && i + 1 < source_.size() && is_in(source_[i + 1], prefix))))
      ++i;
    return i == end + 1 ? end : i;
  }

  void name() {
    const size_t begin = at_;
    while (at_ < source_.size()) {
      size_t behind = at_;
      const char32_t c = next_code_point(source_, behind);
      if (c < 0x80 ? !(is_name_start(static_cast<char>(c)) || is_digit_char(static_cast<char>(c))) : is_space(c)) break;
      if (c >= 0x80 && !is_alpha(c) && !is_numeric(c) && is_printable(c)) fail(begin, "invalid character in identifier");
      at_ = behind;
    }
    if (at_ == begin) fail(at_, "unexpected character");
    add(TokenType::kName, source_.substr(begin, at_ - begin), begin);
  }

  void string(char quote) {
    const size_t begin = at_;
    size_t i = begin + 1;
    while (i < source_.size() && source_[i] != quote) i += source_[i] == '\\' ? 2 : 1;
    if (i >= source_.size()) fail(begin, "a string without its closing quote");
    const std::string_view body = std::string_view(source_).substr(begin + 1, i - begin - 1);
    std::string problem;
    std::string text = unescape(body, &problem);
    if (!problem.empty()) fail(begin, problem);
    add(TokenType::kString, std::move(text), begin);
    at_ = i + 1;
  }

  std::string source_;
  const std::string& origin_;
  std::vector<Token> tokens_;
  size_t at_ = 0, counted_ = 0;
  Place place_;
  bool line_starting_ = true;
  std::string brackets_;  ///< closing brackets awaited
};

}  // namespace

void syntax_error(const std::string& origin, Place place, const std::string& message) {
  throw DataError("chat template: " + message).at(origin + ":" + std::to_string(place.line) + ":" + std::to_string(place.column));
}

std::vector<Token> tokenize(std::string_view source, const std::string& origin) {
  if (source.size() > kMaximumSource) throw DataError("chat template: larger than 4 MiB").at(origin);
  if (!is_valid_utf8(source)) throw DataError("chat template: not valid UTF-8").at(origin).hint("save the template as UTF-8");
  return Lexer(normalise_newlines(source), origin).run();
}

}  // namespace graft::text::jinja
