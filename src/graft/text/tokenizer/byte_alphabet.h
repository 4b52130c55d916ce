#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace graft::text::tok {

/// GPT-2's byte alphabet: every byte has a printable character, so that a vocabulary of text can hold bytes. Source: bytes_to_unicode in
/// github.com/openai/gpt-2 src/encoder.py.
/// The character of a byte, as UTF-8 (one or two bytes long).
std::string_view byte_to_character(unsigned char byte);

/// Each byte of `bytes` as its character.
std::string to_byte_alphabet(std::string_view bytes);

/// The bytes that `text` stands for; nothing when a character is not in the alphabet.
std::optional<std::string> from_byte_alphabet(std::string_view text);

}  // namespace graft::text::tok
