#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace graft::text::jinja {

/// Python's str operations on UTF-8. Inputs are well-formed (the lexer and the JSON reader check).

size_t count_code_points(std::string_view text);

/// The code point at byte `at`, which moves behind it.
char32_t next_code_point(std::string_view text, size_t& at);

void append_code_point(std::string& text, char32_t code_point);

/// Byte offset of code point `index` (text.size() when past the end).
size_t byte_offset(std::string_view text, size_t index);

/// str.isspace of one character; also what \s matches.
bool is_space(char32_t code_point);
/// str.isprintable of one character: decides what repr escapes.
bool is_printable(char32_t code_point);
bool is_cased(char32_t code_point);
bool is_upper(char32_t code_point);
bool is_lower(char32_t code_point);
bool is_alpha(char32_t code_point);
bool is_decimal(char32_t code_point);
bool is_digit(char32_t code_point);    ///< decimals and superscript-like digits
bool is_numeric(char32_t code_point);  ///< also fractions, letters that are numbers

/// Full case mapping (ß becomes SS), final sigma included.
std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string to_title(std::string_view text);    ///< str.title
std::string capitalize(std::string_view text);  ///< str.capitalize
std::string swap_case(std::string_view text);
std::string fold_case(std::string_view text);

/// Whitespace off the ends.
std::string_view strip_left(std::string_view text);
std::string_view strip_right(std::string_view text);
std::string_view strip(std::string_view text);

}  // namespace graft::text::jinja
