#include "graft/text/tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>

#include "graft/text/tokenizer/unicode_tables.h"

namespace graft::text::tok {
namespace {

template <typename Entry, size_t kCount>
const Entry* find_range(const Entry (&table)[kCount], char32_t code) {
  const auto* after = std::upper_bound(std::begin(table), std::end(table), code, [](char32_t c, const Entry& e) { return c < e.first; });
  if (after == std::begin(table)) return nullptr;
  const Entry* candidate = after - 1;
  return code <= candidate->last ? candidate : nullptr;
}

utf8proc_category_t category(char32_t code) { return utf8proc_category(static_cast<utf8proc_int32_t>(code)); }

bool is_mark(utf8proc_category_t value) {
  return value == UTF8PROC_CATEGORY_MN || value == UTF8PROC_CATEGORY_MC || value == UTF8PROC_CATEGORY_ME;
}

bool is_letter(utf8proc_category_t value) { return value >= UTF8PROC_CATEGORY_LU && value <= UTF8PROC_CATEGORY_LO; }

// Alphabetic although a symbol: circled and squared Latin letters.
bool is_letter_like_symbol(char32_t code) {
  return (code >= 0x24B6 && code <= 0x24E9) || (code >= 0x1F130 && code <= 0x1F149) || (code >= 0x1F150 && code <= 0x1F169) ||
         (code >= 0x1F170 && code <= 0x1F189);
}

bool is_ascii_punctuation(char32_t code) {
  return (code >= '!' && code <= '/') || (code >= ':' && code <= '@') || (code >= '[' && code <= '`') || (code >= '{' && code <= '~');
}

}  // namespace

void append_utf8(std::string* text, char32_t code) {
  if (code < 0x80) {
    text->push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    text->push_back(static_cast<char>(0xC0 | code >> 6));
    text->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  } else if (code < 0x10000) {
    text->push_back(static_cast<char>(0xE0 | code >> 12));
    text->push_back(static_cast<char>(0x80 | (code >> 6 & 0x3F)));
    text->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  } else {
    text->push_back(static_cast<char>(0xF0 | code >> 18));
    text->push_back(static_cast<char>(0x80 | (code >> 12 & 0x3F)));
    text->push_back(static_cast<char>(0x80 | (code >> 6 & 0x3F)));
    text->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  }
}

size_t count_characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char byte) { return !is_continuation_byte(byte); }));
}

bool is_white_space(char32_t code) {
  if (code < 0x80) return code == ' ' || (code >= '\t' && code <= '\r');
  return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
         code == 0x202F || code == 0x205F || code == 0x3000;
}

bool is_numeric(char32_t code) {
  if (code < 0x80) return code >= '0' && code <= '9';
  const auto value = category(code);
  return (value >= UTF8PROC_CATEGORY_ND && value <= UTF8PROC_CATEGORY_NO) || find_range(tables::kNewerNumeric, code) != nullptr;
}

bool is_punctuation(char32_t code) {
  if (code < 0x80) return is_ascii_punctuation(code);
  if (find_range(tables::kFormerPunctuation, code) != nullptr) return true;
  const auto value = category(code);
  return value >= UTF8PROC_CATEGORY_PC && value <= UTF8PROC_CATEGORY_PO && find_range(tables::kNotYetPunctuation, code) == nullptr;
}

bool is_word(char32_t code) {
  const char32_t known = regex_stand_in(code);
  const auto value = category(known);
  return is_letter(value) || is_mark(value) || value == UTF8PROC_CATEGORY_ND || value == UTF8PROC_CATEGORY_NL ||
         value == UTF8PROC_CATEGORY_PC || is_letter_like_symbol(code) || code == 0x200C || code == 0x200D;
}

bool is_combining_mark(char32_t code) {
  if (find_range(tables::kFormerMarks, code) != nullptr) return true;
  return is_mark(category(code)) && find_range(tables::kNotYetMarks, code) == nullptr;
}

bool is_nonspacing_mark(char32_t code) {
  if (find_range(tables::kFormerNonspacing, code) != nullptr) return true;
  return category(code) == UTF8PROC_CATEGORY_MN && find_range(tables::kNotYetNonspacing, code) == nullptr;
}

bool is_control(char32_t code) {
  const auto value = category(code);
  if (value == UTF8PROC_CATEGORY_CF) return find_range(tables::kNotYetControls, code) == nullptr;
  return value == UTF8PROC_CATEGORY_CC || value == UTF8PROC_CATEGORY_CO;
}

void append_lowercase(std::string* text, char32_t code) {
  if (code < 0x80) {
    text->push_back(static_cast<char>(code >= 'A' && code <= 'Z' ? code + 32 : code));
  } else if (code == 0x130) {  // the only character whose unconditional lower-case form is two characters
    text->append("i\xCC\x87");
  } else if (const auto* newer = find_range(tables::kNewerLowercase, code)) {
    append_utf8(text, newer->lower + (code - newer->first));
  } else {
    append_utf8(text, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
  }
}

char32_t regex_stand_in(char32_t code) {
  if (code < tables::kRegexStandIns[0].first) return code;
  const auto* newer = find_range(tables::kRegexStandIns, code);
  return newer == nullptr ? code : newer->stand_in;
}

std::string replace_malformed_utf8(std::string_view bytes) {
  std::string clean;
  clean.reserve(bytes.size());
  const auto at = [&](size_t i) { return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0u; };
  for (size_t i = 0; i < bytes.size();) {
    const unsigned first = at(i);
    // Unicode table 3-7: how many continuation bytes follow and what the second byte may be.
    const int continuations = first < 0x80 ? 0 : first < 0xC2 ? -1 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : first < 0xF5 ? 3 : -1;
    const unsigned lowest = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    const unsigned highest = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    size_t good = 1;
    if (continuations > 0 && at(i + 1) >= lowest && at(i + 1) <= highest) {
      for (good = 2; good < static_cast<size_t>(continuations) + 1 && (at(i + good) & 0xC0) == 0x80;) ++good;
    }
    if (continuations >= 0 && good == static_cast<size_t>(continuations) + 1) {
      clean.append(bytes.substr(i, good));
    } else {
      clean.append("\xEF\xBF\xBD");
    }
    i += good;
  }
  return clean;
}

}  // namespace graft::text::tok
