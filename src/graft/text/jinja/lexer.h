#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "graft/text/jinja/value.h"

namespace graft::text::jinja {

/// Line and column (in characters) of the template, both from 1.
struct Place {
  uint32_t line = 1, column = 1;
};

enum class TokenType { kData, kVariableBegin, kVariableEnd, kBlockBegin, kBlockEnd, kName, kString, kInteger, kFloat, kOperator, kEnd };

struct Token {
  TokenType type;
  std::string text;  ///< data, name, unescaped string, operator
  Place place;
  Int integer = 0;
  double number = 0;

  bool is(TokenType wanted, std::string_view content) const { return type == wanted && text == content; }
  bool is_operator(std::string_view content) const { return is(TokenType::kOperator, content); }
  bool is_name(std::string_view content) const { return is(TokenType::kName, content); }
};

/// Throws the DataError of a malformed template: `origin:line:column`.
[[noreturn]] void syntax_error(const std::string& origin, Place place, const std::string& message);

/// Splits a template as jinja2 does with trim_blocks and lstrip_blocks on: newlines become \n, one trailing newline goes, the
/// white space control of -, + and of the two options is applied, comments vanish, raw blocks become data. Ends with kEnd.
/// DataError for what is not UTF-8 or not a token.
std::vector<Token> tokenize(std::string_view source, const std::string& origin);

}  // namespace graft::text::jinja
