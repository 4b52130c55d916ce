#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace graft::text::tok {

/// One decoded character and how many bytes it takes.
struct Character {
  char32_t code;
  uint32_t size;
};

/// The character that begins at `at`. The bytes must be well-formed UTF-8: every text is checked once, when it enters.
inline Character decode_character(const char* at) {
  const auto byte = [at](int i) { return static_cast<char32_t>(static_cast<unsigned char>(at[i])); };
  const char32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  if (first < 0xE0) return {(first & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if (first < 0xF0) return {(first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
  return {(first & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F), 4};
}

/// How many bytes the character with this first byte takes.
inline uint32_t character_size(char first) {
  const auto byte = static_cast<unsigned char>(first);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

inline bool is_continuation_byte(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

void append_utf8(std::string* text, char32_t code);
size_t count_characters(std::string_view text);

/// Character classes as HF `tokenizers` sees them. Its parts use different Unicode versions (Rust's char, the regex crate,
/// unicode_categories, unicode_normalization_alignments); unicode_tables.h holds where they differ from utf8proc's Unicode 14.
bool is_white_space(char32_t code);      ///< property White_Space
bool is_numeric(char32_t code);          ///< Nd, Nl, No
bool is_punctuation(char32_t code);      ///< ASCII punctuation and P*
bool is_word(char32_t code);             ///< Alphabetic, M*, Nd, Pc, Join_Control: \w of Rust's regex
bool is_combining_mark(char32_t code);   ///< M*
bool is_nonspacing_mark(char32_t code);  ///< Mn
bool is_control(char32_t code);          ///< Cc, Cf, Co

/// Appends the lower-case form (one or more characters).
void append_lowercase(std::string* text, char32_t code);

/// A character of the same general category and the same size in bytes that an older regex library knows, for characters that
/// Unicode 15 to 16 added; the character itself otherwise. Matching sees the stand-in, offsets stay the same.
char32_t regex_stand_in(char32_t code);

/// Bytes that are not part of well-formed UTF-8 become U+FFFD, one per maximal ill-formed piece (as Rust's from_utf8_lossy).
std::string replace_malformed_utf8(std::string_view bytes);

}  // namespace graft::text::tok
