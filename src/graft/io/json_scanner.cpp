#include "graft/io/json_scanner.h"

#include <charconv>
#include <limits>

#include "graft/base/error.h"

namespace graft::io {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

void append_utf8(uint32_t code, std::string* out) {
  if (code < 0x80) {
    out->push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out->push_back(static_cast<char>(0xC0 | code >> 6));
    out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  } else if (code < 0x10000) {
    out->push_back(static_cast<char>(0xE0 | code >> 12));
    out->push_back(static_cast<char>(0x80 | (code >> 6 & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  } else {
    out->push_back(static_cast<char>(0xF0 | code >> 18));
    out->push_back(static_cast<char>(0x80 | (code >> 12 & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (code >> 6 & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  }
}

// A literal that does not fit a double is an error for the reference too, unless it is merely too small.
bool overflows_double(std::string_view literal) {
  double value = 0;
  const auto result = std::from_chars(literal.data(), literal.data() + literal.size(), value);
  if (result.ec != std::errc::result_out_of_range) return false;
  const bool tiny =
      literal.find("e-") != literal.npos || literal.find("E-") != literal.npos || literal.substr(literal[0] == '-').substr(0, 2) == "0.";
  return !tiny;
}

}  // namespace

void JsonScanner::fail(const std::string& message) const {
  throw DataError("header JSON: " + message)
      .at(origin_ + ": header byte " + std::to_string(at_))
      .hint("the file is damaged or not safetensors; fetch or write it again");
}

void JsonScanner::skip_space() {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
}

char JsonScanner::peek() {
  skip_space();
  return at_ < text_.size() ? text_[at_] : '\0';
}

bool JsonScanner::take(char c) {
  if (c != peek() || at_ >= text_.size()) return false;
  ++at_;
  return true;
}

void JsonScanner::expect(char c, const char* what) {
  if (take(c)) return;
  if (at_ >= text_.size()) fail(std::string("the header ends where ") + what + " should be");
  fail(std::string("expected ") + what);
}

bool JsonScanner::next_member(char closer) {
  if (take(',')) return true;
  expect(closer, closer == '}' ? "',' or '}'" : "',' or ']'");
  return false;
}

uint32_t JsonScanner::four_hex_digits() {
  if (text_.size() - at_ < 4) fail("the header ends inside a \\u escape");
  uint32_t value = 0;
  const char* begin = text_.data() + at_;
  const auto result = std::from_chars(begin, begin + 4, value, 16);
  if (result.ptr != begin + 4 || *begin == '-') fail("a \\u escape needs four hexadecimal digits");
  at_ += 4;
  return value;
}

void JsonScanner::append_escape(std::string* out) {
  if (at_ >= text_.size()) fail("the header ends inside a string");
  const char c = text_[at_++];
  if (const size_t simple = std::string_view("\"\\/bfnrt").find(c); simple != std::string_view::npos) {
    out->push_back("\"\\/\b\f\n\r\t"[simple]);
    return;
  }
  if (c != 'u') fail("unknown escape in a string");
  uint32_t code = four_hex_digits();
  if (code >= 0xDC00 && code <= 0xDFFF) fail("lone surrogate in a string");
  if (code >= 0xD800 && code <= 0xDBFF) {
    if (text_.substr(at_, 2) != "\\u") fail("lone surrogate in a string");
    at_ += 2;
    const uint32_t low = four_hex_digits();
    if (low < 0xDC00 || low > 0xDFFF) fail("lone surrogate in a string");
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  }
  append_utf8(code, out);
}

std::string JsonScanner::string(const char* what) {
  expect('"', what);
  std::string out;
  while (true) {
    if (at_ >= text_.size()) fail("the header ends inside a string");
    const char c = text_[at_++];
    if (c == '"') return out;
    if (static_cast<unsigned char>(c) < 0x20) fail("control character in a string");
    if (c == '\\')
      append_escape(&out);
    else
      out.push_back(c);
  }
}

uint64_t JsonScanner::unsigned_integer(const std::string& what) {
  if (!is_digit(peek())) fail(what + " must be a non-negative integer written in digits");
  const size_t begin = at_;
  while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
  const std::string_view digits = text_.substr(begin, at_ - begin);
  if (digits.size() > 1 && digits[0] == '0') fail(what + " has a leading zero");
  if (at_ < text_.size() && (text_[at_] == '.' || text_[at_] == 'e' || text_[at_] == 'E'))
    fail(what + " must be an integer written in digits, not a fraction or an exponent");
  uint64_t value = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), value).ec != std::errc())
    fail("integer overflow: " + what + " does not fit 64 bits");
  return value;
}

void JsonScanner::skip_word(std::string_view word) {
  if (text_.substr(at_, word.size()) != word) fail("not a JSON value");
  at_ += word.size();
}

bool JsonScanner::take_null() {
  if (peek() != 'n') return false;
  skip_word("null");
  return true;
}

void JsonScanner::skip_number() {
  const size_t begin = at_;
  const auto digits = [&] {
    if (at_ >= text_.size() || !is_digit(text_[at_])) fail("malformed number");
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
  };
  if (text_[at_] == '-') ++at_;
  const bool leading_zero = at_ < text_.size() && text_[at_] == '0';
  const size_t first = at_;
  digits();
  if (leading_zero && at_ - first > 1) fail("malformed number: leading zero");
  if (at_ < text_.size() && text_[at_] == '.') ++at_, digits();
  if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
    ++at_;
    if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
    digits();
  }
  if (overflows_double(text_.substr(begin, at_ - begin))) fail("number out of range");
}

void JsonScanner::skip_value(int depth) {
  const char c = peek();
  if (c == '{' || c == '[') {
    if (depth >= kMaxDepth) fail("nesting deeper than " + std::to_string(kMaxDepth) + " levels");
    ++at_;
    const char closer = c == '{' ? '}' : ']';
    if (take(closer)) return;
    do {
      if (c == '{') string("a key"), expect(':', "':'");
      skip_value(depth + 1);
    } while (next_member(closer));
  } else if (c == '"') {
    string("a string");
  } else if (c == 't') {
    skip_word("true");
  } else if (c == 'f') {
    skip_word("false");
  } else if (c == 'n') {
    skip_word("null");
  } else if (c == '-' || is_digit(c)) {
    skip_number();
  } else {
    fail(at_ >= text_.size() ? "the header ends where a value should be" : "not a JSON value");
  }
}

void JsonScanner::expect_end() {
  skip_space();
  if (at_ < text_.size()) fail("trailing bytes after the header's object");
}

}  // namespace graft::io
