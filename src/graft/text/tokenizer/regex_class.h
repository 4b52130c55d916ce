#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace graft::text::tok {

/// Where a translator is in its pattern.
struct PatternCursor {
  std::string_view pattern;
  std::string place;
  size_t at = 0;

  bool done() const { return at >= pattern.size(); }
  char peek(size_t ahead = 0) const { return at + ahead < pattern.size() ? pattern[at + ahead] : '\0'; }
  bool take(std::string_view expected);
  [[noreturn]] void fail(const std::string& why) const;
};

/// What may stand between PCRE2's brackets for a named set ("\p{L}", "\x{9}-\x{d}…"), or its complement.
struct SetItems {
  std::string items;
  bool negated = false;
};

/// \s \S \d \D \w \W \h \H, by their letter; nothing for other letters.
std::optional<SetItems> set_of_escape(char letter, bool in_brackets);
/// \p{name}, \p{^name}, \P{name} and [:name:], by the name as written.
SetItems set_of_property(std::string_view name, bool negated, const PatternCursor& cursor);
/// After "\p" or "\P": reads "{…}". Nothing when no brace follows (then it is the letter itself).
std::optional<SetItems> read_property(PatternCursor* cursor, bool negated);
/// After a backslash: the one character that the escape means (\n, \x{2581}, \u00e9, \.), moving past it.
char32_t read_character_escape(PatternCursor* cursor);

/// A whole character class, at its "[": PCRE2 text that matches exactly one character. Nested classes become alternatives,
/// intersections lookaheads.
std::string translate_class(PatternCursor* cursor, int depth);

/// "\x{2581}".
std::string code_point(char32_t code);
/// "[\p{L}]" or "[^\p{L}]".
std::string bracketed(const SetItems& set);

}  // namespace graft::text::tok
