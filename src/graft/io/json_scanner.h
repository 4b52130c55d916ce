#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace graft::io {

/// A strict cursor over one JSON text: no tree, no recursion beyond kMaxDepth, nothing allocated but the strings asked for.
/// Agrees with serde_json (the reference safetensors reader) on what is JSON: RFC 8259 without extensions, lone surrogates refused.
/// The text must be UTF-8 already (is_valid_utf8).
class JsonScanner {
 public:
  static constexpr int kMaxDepth = 127;

  /// `origin` is the place named in errors.
  JsonScanner(std::string_view text, std::string origin) : text_(text), origin_(std::move(origin)) {}

  /// Skips white space and takes `c`; DataError when something else is there.
  void expect(char c, const char* what);
  /// Takes `c` when it is next (after white space).
  bool take(char c);
  /// The next character after white space, '\0' at the end (a NUL in the text is not JSON, so there is no confusion).
  char peek();
  /// After a member or an element: true after a comma, false after `closer`; DataError otherwise.
  bool next_member(char closer);
  /// A string, unescaped.
  std::string string(const char* what);
  /// A non-negative integer made of digits only, at most 2^64-1: "-0", "1.0", "1e3", "01" and "\"1\"" are DataErrors.
  uint64_t unsigned_integer(const std::string& what);
  /// Takes `null` when it is next.
  bool take_null();
  /// Walks over any value. `depth` = number of containers already open.
  void skip_value(int depth);
  /// Only white space may follow.
  void expect_end();

  [[noreturn]] void fail(const std::string& message) const;

 private:
  void skip_space();
  void skip_number();
  void skip_word(std::string_view word);
  void append_escape(std::string* out);
  uint32_t four_hex_digits();

  std::string_view text_;
  size_t at_ = 0;
  std::string origin_;
};

}  // namespace graft::io
