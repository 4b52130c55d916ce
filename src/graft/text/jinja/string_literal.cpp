#include "graft/text/jinja/string_literal.h"

#include <cstdint>
#include <cstdio>

#include "graft/text/jinja/unicode.h"

namespace graft::text::jinja {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = static_cast<char>(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/// Exactly `count` hexadecimal digits at `at`; false when there are fewer.
bool read_hex(std::string_view body, size_t& at, int count, uint32_t& value) {
  value = 0;
  for (int i = 0; i < count; ++i, ++at) {
    const int digit = at < body.size() ? hex_value(body[at]) : -1;
    if (digit < 0) return false;
    value = value * 16 + static_cast<uint32_t>(digit);
  }
  return true;
}

std::string hex_escape(char32_t c) {
  char buffer[16];
  std::snprintf(buffer, sizeof buffer, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", static_cast<unsigned>(c));
  return buffer;
}

}  // namespace

std::string unescape(std::string_view body, std::string* problem) {
  static constexpr std::string_view kLetters = "abfnrtv\\'\"";
  static constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
  std::string out;
  for (size_t at = 0; at < body.size();) {
    if (body[at] != '\\' || at + 1 >= body.size()) {
      out += body[at++];
      continue;
    }
    const char c = body[at + 1];
    at += 2;
    uint32_t value = 0;
    if (const size_t known = kLetters.find(c); known != std::string_view::npos) {
      out += kMeanings[known];
    } else if (c == '\n') {
      // A line continued in the literal.
    } else if (c >= '0' && c <= '7') {
      value = static_cast<uint32_t>(c - '0');
      for (int i = 0; i < 2 && at < body.size() && body[at] >= '0' && body[at] <= '7'; ++i, ++at) {
        value = value * 8 + static_cast<uint32_t>(body[at] - '0');
      }
      append_code_point(out, value);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      const int digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      const bool complete = read_hex(body, at, digits, value);
      if (!complete || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
        *problem = std::string("the escape \\") + c + " does not name a character";
        return out;
      }
      append_code_point(out, value);
    } else if (c == 'N') {
      *problem = "the escape \\N{name} is not supported; write the character itself";
      return out;
    } else if (static_cast<unsigned char>(c) >= 0x80) {
      // jinja2 encodes to ASCII with backslash escapes before it decodes: the backslash swallows that escape's own.
      --at;
      const char32_t plain = next_code_point(body, at);
      out += hex_escape(plain);
    } else {
      out += '\\';
      out += c;
    }
  }
  return out;
}

std::string quoted(std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_code_point(text, at);
    if (c == static_cast<unsigned char>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_printable(c)) {
      out += text.substr(begin, at - begin);
    } else {
      out += hex_escape(c);
    }
  }
  return out + quote;
}

}  // namespace graft::text::jinja
