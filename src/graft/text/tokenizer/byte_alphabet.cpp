#include "graft/text/tokenizer/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "graft/text/tokenizer/unicode.h"

namespace graft::text::tok {
namespace {

constexpr char32_t kEnd = 0x144;  // one past the last character used

struct Alphabet {
  std::array<std::string, 256> characters;
  std::array<int16_t, kEnd> bytes;

  Alphabet() {
    bytes.fill(-1);
    char32_t next = 0x100;
    for (char32_t byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      const char32_t code = printable ? byte : next++;
      append_utf8(&characters[byte], code);
      bytes[code] = static_cast<int16_t>(byte);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

std::string_view byte_to_character(unsigned char byte) { return alphabet().characters[byte]; }

std::string to_byte_alphabet(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char byte : bytes) text.append(byte_to_character(static_cast<unsigned char>(byte)));
  return text;
}

std::optional<std::string> from_byte_alphabet(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const auto [code, size] = decode_character(text.data() + i);
    if (code >= kEnd || alphabet().bytes[code] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(alphabet().bytes[code]));
    i += size;
  }
  return bytes;
}

}  // namespace graft::text::tok
