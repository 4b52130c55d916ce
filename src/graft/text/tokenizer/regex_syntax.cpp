#include "graft/text/tokenizer/regex_syntax.h"

#include <cctype>

#include "graft/base/error.h"
#include "graft/text/tokenizer/regex_class.h"
#include "graft/text/tokenizer/unicode.h"

namespace graft::text::tok {
namespace {

constexpr int kMaximumDepth = 100;

/// {n}, {n,}, {,n} or {n,m}; nothing when the brace is an ordinary character.
std::optional<std::string> read_interval(PatternCursor* cursor) {
  size_t at = cursor->at + 1;
  const auto digits = [&] {
    const size_t begin = at;
    while (at < cursor->pattern.size() && std::isdigit(static_cast<unsigned char>(cursor->pattern[at]))) ++at;
    return std::string(cursor->pattern.substr(begin, at - begin));
  };
  const std::string low = digits();
  const bool comma = at < cursor->pattern.size() && cursor->pattern[at] == ',';
  if (comma) ++at;
  const std::string high = comma ? digits() : low;
  if (at >= cursor->pattern.size() || cursor->pattern[at] != '}' || (low.empty() && high.empty())) return std::nullopt;
  if (low.size() > 5 || high.size() > 5) cursor->fail("a repeat count is too large");
  cursor->at = at + 1;
  return "{" + (low.empty() ? "0" : low) + (comma ? "," + high : "") + "}";
}

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& place) : cursor_{pattern, place, 0} {}

  std::string run() {
    std::string all = alternatives(0);
    if (!cursor_.done()) cursor_.fail("')' without '('");
    return all;
  }

 private:
  std::string alternatives(int depth) {
    if (depth > kMaximumDepth) cursor_.fail("groups are nested too deeply");
    std::string all;
    while (!cursor_.done() && cursor_.peek() != ')') {
      if (cursor_.take("|")) {
        all += "|";
      } else {
        all += quantified(atom(depth));
      }
    }
    return all;
  }

  /// The atom with the quantifiers that follow it. A second one applies to the whole.
  std::string quantified(std::string item) {
    for (bool already = false;; already = true) {
      std::string quantifier;
      const char next = cursor_.peek();
      if (!cursor_.done() && (next == '*' || next == '+' || next == '?')) {
        ++cursor_.at;
        quantifier = next;
        if (cursor_.peek() == '?' || cursor_.peek() == '+') quantifier += cursor_.pattern[cursor_.at++];
      } else if (next == '{') {
        const auto interval = read_interval(&cursor_);
        if (!interval) return item;
        quantifier = *interval;
        if (quantifier.find(',') != std::string::npos && cursor_.take("?")) quantifier += "?";
      } else {
        return item;
      }
      if (item.empty()) cursor_.fail("nothing to repeat");
      item = already ? "(?:" + item + ")" + quantifier : item + quantifier;
    }
  }

  std::string atom(int depth) {
    const char first = cursor_.peek();
    switch (first) {
      case '(':
        return group(depth);
      case '[':
        return translate_class(&cursor_, 0);
      case '\\':
        ++cursor_.at;
        return escape();
      case '.':
      case '^':
      case '$':
        ++cursor_.at;
        return std::string(1, first);
      case '*':
      case '+':
      case '?':
        cursor_.fail("nothing to repeat");
      default: {
        const auto [code, size] = decode_character(cursor_.pattern.data() + cursor_.at);
        cursor_.at += size;
        return literal(code);
      }
    }
  }

  static std::string literal(char32_t code) {
    if (code < 0x80 && std::isalnum(static_cast<unsigned char>(code))) return std::string(1, static_cast<char>(code));
    return code_point(code);
  }

  std::string escape() {
    const char letter = cursor_.peek();
    if (const auto set = set_of_escape(letter, false)) return ++cursor_.at, bracketed(*set);
    const std::string word = bracketed(*set_of_escape('w', false));
    switch (letter) {
      case 'p':
      case 'P': {
        ++cursor_.at;
        const auto set = read_property(&cursor_, letter == 'P');
        return set ? bracketed(*set) : std::string(1, letter);
      }
      case 'b':
        ++cursor_.at;
        return "(?:(?<=" + word + ")(?!" + word + ")|(?<!" + word + ")(?=" + word + "))";
      case 'B':
        ++cursor_.at;
        return "(?:(?<=" + word + ")(?=" + word + ")|(?<!" + word + ")(?!" + word + "))";
      case 'A':
      case 'z':
      case 'Z':
      case 'G':
      case 'K':
      case 'X':
        ++cursor_.at;
        return "\\" + std::string(1, letter);
      case 'R':
        ++cursor_.at;
        return R"((?>\r\n|[\x{a}-\x{d}\x{85}\x{2028}\x{2029}]))";
      case 'N':
        ++cursor_.at;
        return R"([^\n])";
      case 'O':
        ++cursor_.at;
        return "(?s:.)";
      case 'y':
      case 'Y':
      case 'g':
      case 'M':
      case 'C':
      case 'c':
        cursor_.fail(std::string("\\") + letter + " is not supported");
      case 'k': {
        if (cursor_.peek(1) != '<') break;
        const size_t close = cursor_.pattern.find('>', cursor_.at);
        if (close == std::string_view::npos) cursor_.fail("'>' is missing");
        const std::string reference = "\\" + std::string(cursor_.pattern.substr(cursor_.at, close + 1 - cursor_.at));
        cursor_.at = close + 1;
        return reference;
      }
      default:
        break;
    }
    if (letter >= '1' && letter <= '9') {
      std::string number;
      while (std::isdigit(static_cast<unsigned char>(cursor_.peek())) && number.size() < 3) number += cursor_.pattern[cursor_.at++];
      return "\\g{" + number + "}";
    }
    return literal(read_character_escape(&cursor_));
  }

  std::string group(int depth) {
    ++cursor_.at;  // the '('
    if (cursor_.peek() == '*') cursor_.fail("(*…) is not supported");
    if (!cursor_.take("?")) return close_group("(" + alternatives(depth + 1));
    for (const char* kind : {":", "=", "!", ">", "<=", "<!"}) {
      if (cursor_.take(kind)) return close_group("(?" + std::string(kind) + alternatives(depth + 1));
    }
    if (cursor_.take("#")) {
      const size_t close = cursor_.pattern.find(')', cursor_.at);
      if (close == std::string_view::npos) cursor_.fail("')' is missing after a comment");
      cursor_.at = close + 1;
      return "(?:)";
    }
    if (cursor_.peek() == '<') {
      const size_t close = cursor_.pattern.find('>', cursor_.at);
      if (close == std::string_view::npos) cursor_.fail("'>' is missing");
      const std::string name(cursor_.pattern.substr(cursor_.at, close + 1 - cursor_.at));
      cursor_.at = close + 1;
      return close_group("(?" + name + alternatives(depth + 1));
    }
    return options(depth);
  }

  /// "(?i-m:…)" or "(?i)", which reaches to the end of the enclosing group, alternatives included.
  std::string options(int depth) {
    std::string letters;
    while (!cursor_.done() && cursor_.peek() != ':' && cursor_.peek() != ')') {
      const char letter = cursor_.pattern[cursor_.at++];
      if (letter != 'i' && letter != 'm' && letter != '-') cursor_.fail(std::string("the group option '") + letter + "' is not supported");
      letters += letter == 'm' ? 's' : letter;  // Oniguruma's m lets the dot match newlines
    }
    if (cursor_.take(":")) return close_group("(?" + letters + ":" + alternatives(depth + 1));
    if (!cursor_.take(")")) cursor_.fail("')' is missing");
    return "(?" + letters + ":" + alternatives(depth + 1) + ")";
  }

  std::string close_group(std::string opened) {
    if (!cursor_.take(")")) cursor_.fail("')' is missing");
    return opened + ")";
  }

  PatternCursor cursor_;
};

}  // namespace

std::string translate_regex(std::string_view pattern, const std::string& place) {
  if (pattern.size() > 20000) throw DataError("a regular expression of " + std::to_string(pattern.size()) + " bytes is too long").at(place);
  return Translator(pattern, place).run();
}

}  // namespace graft::text::tok
