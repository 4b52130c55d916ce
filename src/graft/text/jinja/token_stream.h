#pragma once

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "graft/text/jinja/ast.h"

namespace graft::text::jinja {

/// The tokens with a cursor, and what both halves of the parser share.
class TokenStream {
 public:
  TokenStream(std::vector<Token> tokens, const std::string& origin) : tokens_(std::move(tokens)), origin_(origin) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& look() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  const Token& next() {
    const Token& token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool skip_operator(std::string_view op) {
    if (!current().is_operator(op)) return false;
    next();
    return true;
  }
  bool skip_name(std::string_view name) {
    if (!current().is_name(name)) return false;
    next();
    return true;
  }
  void expect_operator(std::string_view op) {
    if (!skip_operator(op)) fail("expected '" + std::string(op) + "', got " + describe(current()));
  }
  void expect_name(std::string_view name) {
    if (!skip_name(name)) fail("expected '" + std::string(name) + "', got " + describe(current()));
  }
  const Token& expect(TokenType type, const char* what) {
    if (current().type != type) fail(std::string("expected ") + what + ", got " + describe(current()));
    return next();
  }
  [[noreturn]] void fail(const std::string& message) const { fail(message, current().place); }
  [[noreturn]] void fail(const std::string& message, Place place) const { syntax_error(origin_, place, message); }

  static std::string describe(const Token& token) {
    switch (token.type) {
      case TokenType::kData:
        return "text";
      case TokenType::kVariableBegin:
        return "'{{'";
      case TokenType::kVariableEnd:
        return "'}}'";
      case TokenType::kBlockBegin:
        return "'{%'";
      case TokenType::kBlockEnd:
        return "'%}'";
      case TokenType::kEnd:
        return "the end of the template";
      default:
        return "'" + token.text.substr(0, 60) + "'";
    }
  }

  Symbol symbol(const std::string& name) {
    const auto [found, is_new] = symbols_.emplace(name, static_cast<Symbol>(names_.size()));
    if (is_new) names_.push_back(name);
    return found->second;
  }
  std::vector<std::string> take_symbols() { return std::move(names_); }

 private:
  std::vector<Token> tokens_;
  const std::string& origin_;
  size_t at_ = 0;
  std::unordered_map<std::string, Symbol> symbols_;
  std::vector<std::string> names_;
};

}  // namespace graft::text::jinja
