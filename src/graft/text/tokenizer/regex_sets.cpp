#include <array>
#include <cctype>
#include <map>

#include "graft/base/error.h"
#include "graft/text/tokenizer/regex_class.h"
#include "graft/text/tokenizer/unicode.h"

namespace graft::text::tok {
namespace {

// PCRE2's own \s has U+180E, its \w lacks marks: both spelled out.
constexpr const char* kWhiteSpace = R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr const char* kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
// Outside of brackets Oniguruma takes \w below U+0100 from another table, which has superscripts and fractions.
constexpr const char* kWordOutside = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})";
constexpr const char* kHexDigit = "0-9a-fA-F";

// Oniguruma ignores case, blanks, '-' and '_' in property names.
std::string simplified(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    if (c != ' ' && c != '_' && c != '-') plain.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
  }
  return plain;
}

const std::map<std::string, std::string>& known_sets() {
  static const std::map<std::string, std::string> sets = [] {
    std::map<std::string, std::string> built = {{"space", kWhiteSpace},          {"whitespace", kWhiteSpace},
                                                {"xposixspace", kWhiteSpace},    {"word", kWord},
                                                {"digit", R"(\p{Nd})"},          {"xdigit", kHexDigit},
                                                {"alpha", R"(\p{Alphabetic})"},  {"alnum", R"(\p{Alphabetic}\p{Nd})"},
                                                {"upper", R"(\p{Uppercase})"},   {"lower", R"(\p{Lowercase})"},
                                                {"cntrl", R"(\p{Cc})"},          {"blank", R"(\x{9}\p{Zs})"},
                                                {"ascii", R"(\x{0}-\x{7f})"},    {"punct", R"(\p{P})"},
                                                {"any", R"(\x{0}-\x{10ffff})"},  {"assigned", R"(\P{Cn})"},
                                                {"lc", R"(\p{Ll}\p{Lu}\p{Lt})"}, {"casedletter", R"(\p{Ll}\p{Lu}\p{Lt})"},
                                                {"hexdigit", R"(\p{Hex_Digit})"}};
    constexpr std::array<std::array<const char*, 2>, 37> kCategories = {{{"l", "letter"},
                                                                         {"lu", "uppercaseletter"},
                                                                         {"ll", "lowercaseletter"},
                                                                         {"lt", "titlecaseletter"},
                                                                         {"lm", "modifierletter"},
                                                                         {"lo", "otherletter"},
                                                                         {"m", "mark"},
                                                                         {"m", "combiningmark"},
                                                                         {"mn", "nonspacingmark"},
                                                                         {"mc", "spacingmark"},
                                                                         {"me", "enclosingmark"},
                                                                         {"n", "number"},
                                                                         {"nd", "decimalnumber"},
                                                                         {"nl", "letternumber"},
                                                                         {"no", "othernumber"},
                                                                         {"p", "punctuation"},
                                                                         {"pc", "connectorpunctuation"},
                                                                         {"pd", "dashpunctuation"},
                                                                         {"ps", "openpunctuation"},
                                                                         {"pe", "closepunctuation"},
                                                                         {"pi", "initialpunctuation"},
                                                                         {"pf", "finalpunctuation"},
                                                                         {"po", "otherpunctuation"},
                                                                         {"s", "symbol"},
                                                                         {"sm", "mathsymbol"},
                                                                         {"sc", "currencysymbol"},
                                                                         {"sk", "modifiersymbol"},
                                                                         {"so", "othersymbol"},
                                                                         {"z", "separator"},
                                                                         {"zs", "spaceseparator"},
                                                                         {"zl", "lineseparator"},
                                                                         {"zp", "paragraphseparator"},
                                                                         {"c", "other"},
                                                                         {"cc", "control"},
                                                                         {"cf", "format"},
                                                                         {"co", "privateuse"},
                                                                         {"cn", "unassigned"}}};
    for (const auto& [brief, name] : kCategories) {
      std::string spelled = brief;
      spelled[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(spelled[0])));
      built[brief] = built[name] = "\\p{" + spelled + "}";
    }
    for (const char* name : {"Alphabetic",
                             "Uppercase",
                             "Lowercase",
                             "Cased",
                             "Math",
                             "Dash",
                             "Diacritic",
                             "Extender",
                             "Ideographic",
                             "Unified_Ideograph",
                             "Emoji",
                             "Emoji_Presentation",
                             "Emoji_Modifier",
                             "Emoji_Modifier_Base",
                             "Emoji_Component",
                             "Extended_Pictographic",
                             "ID_Start",
                             "ID_Continue",
                             "XID_Start",
                             "XID_Continue",
                             "Default_Ignorable_Code_Point",
                             "Quotation_Mark",
                             "Regional_Indicator",
                             "Variation_Selector",
                             "Join_Control",
                             "Sentence_Terminal",
                             "Terminal_Punctuation",
                             "Radical",
                             "Grapheme_Base",
                             "Grapheme_Extend"}) {
      built[simplified(name)] = "\\p{" + std::string(name) + "}";
    }
    return built;
  }();
  return sets;
}

}  // namespace

bool PatternCursor::take(std::string_view expected) {
  if (pattern.substr(at, expected.size()) != expected) return false;
  at += expected.size();
  return true;
}

void PatternCursor::fail(const std::string& why) const {
  throw DataError("not a regular expression that graft can run: " + why + ", at byte " + std::to_string(at) + " of \"" +
                  std::string(pattern.substr(0, 200)) + "\"")
      .at(place);
}

std::string code_point(char32_t code) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string digits;
  do digits.insert(digits.begin(), kDigits[code % 16]);
  while ((code /= 16) != 0);
  return "\\x{" + digits + "}";
}

std::string bracketed(const SetItems& set) { return (set.negated ? "[^" : "[") + set.items + "]"; }

std::optional<SetItems> set_of_escape(char letter, bool in_brackets) {
  const char* word = in_brackets ? kWord : kWordOutside;
  switch (letter) {
    case 's':
      return SetItems{kWhiteSpace, false};
    case 'S':
      return SetItems{kWhiteSpace, true};
    case 'd':
      return SetItems{R"(\p{Nd})", false};
    case 'D':
      return SetItems{R"(\p{Nd})", true};
    case 'w':
      return SetItems{word, false};
    case 'W':
      return SetItems{word, true};
    case 'h':
      return SetItems{kHexDigit, false};
    case 'H':
      return SetItems{kHexDigit, true};
    default:
      return std::nullopt;
  }
}

SetItems set_of_property(std::string_view name, bool negated, const PatternCursor& cursor) {
  if (!name.empty() && name.front() == '^') {
    name.remove_prefix(1);
    negated = !negated;
  }
  const std::string plain = simplified(name);
  if (const auto known = known_sets().find(plain); known != known_sets().end()) return {known->second, negated};
  for (const char c : plain) {
    if (!std::isalnum(static_cast<unsigned char>(c))) cursor.fail("\"" + std::string(name) + "\" is not a character property");
  }
  if (plain.empty()) cursor.fail("a character property without a name");
  return {"\\p{sc:" + plain + "}", negated};  // a script, without Script_Extensions; PCRE2 refuses unknown ones
}

std::optional<SetItems> read_property(PatternCursor* cursor, bool negated) {
  if (cursor->peek() != '{') return std::nullopt;
  const size_t close = cursor->pattern.find('}', cursor->at);
  if (close == std::string_view::npos) cursor->fail("'}' is missing after a character property");
  const std::string_view name = cursor->pattern.substr(cursor->at + 1, close - cursor->at - 1);
  cursor->at = close + 1;
  return set_of_property(name, negated, *cursor);
}

char32_t read_character_escape(PatternCursor* cursor) {
  if (cursor->done()) cursor->fail("a backslash at the end");
  const auto [code, size] = decode_character(cursor->pattern.data() + cursor->at);
  cursor->at += size;
  const auto number = [&](int base, int most) {
    char32_t value = 0;
    int digits = 0;
    for (; digits < most && !cursor->done(); ++digits, ++cursor->at) {
      const auto c = static_cast<unsigned char>(cursor->peek());
      const int digit = std::isdigit(c) ? c - '0' : std::isxdigit(c) ? std::tolower(c) - 'a' + 10 : 99;
      if (digit >= base) break;
      value = value * static_cast<char32_t>(base) + static_cast<char32_t>(digit);
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) cursor->fail("not a character's number");
    return std::pair(value, digits);
  };
  switch (code) {
    case 't':
      return '\t';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 'f':
      return '\f';
    case 'v':
      return '\v';
    case 'a':
      return '\a';
    case 'e':
      return 0x1B;
    case '0':
      return number(8, 2).first;
    case 'u': {
      const auto [value, digits] = number(16, 4);
      if (digits != 4) cursor->fail("\\u needs four hexadecimal digits");
      return value;
    }
    case 'x': {
      if (cursor->take("{")) {
        const auto [value, digits] = number(16, 8);
        if (digits == 0 || !cursor->take("}")) cursor->fail("\\x{…} needs hexadecimal digits");
        return value;
      }
      const auto value = number(16, 2).first;
      if (value >= 0x80) cursor->fail("\\x80 and above are bytes, not characters; \\x{80} is one");
      return value;
    }
    default:
      return code;
  }
}

}  // namespace graft::text::tok
