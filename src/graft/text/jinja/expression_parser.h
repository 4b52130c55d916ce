#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "graft/text/jinja/ast.h"
#include "graft/text/jinja/token_stream.h"

namespace graft::text::jinja {

/// Counts a level of the recursive descent (brackets, signs, `not`, statements): about 12 frames of the stack each.
class Nested {
 public:
  Nested(int& counter, const TokenStream& stream) : counter_(counter) {
    constexpr int kMaximum = 120;
    if (++counter_ > kMaximum) stream.fail("the template is nested more than " + std::to_string(kMaximum) + " deep");
  }
  ~Nested() { --counter_; }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

 private:
  int& counter_;
};

/// The expression half of the grammar: jinja2.parser's methods of the same names.
class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& stream) : stream_(stream) {}

  ExpressionPtr expression(bool with_conditional = true);
  /// One expression, or a tuple of several divided by commas. `end_name` is a keyword that also ends it.
  ExpressionPtr tuple(bool with_conditional = true, std::string_view end_name = "", bool parenthesised = false);
  /// What stands left of `=` or between `for` and `in`.
  ExpressionPtr target(bool with_namespace, std::string_view end_name = "");
  /// `|name(…)|name(…)` applied to `input`, which may be null (filter block). `inline_first`: the first bar is left out.
  ExpressionPtr filters(ExpressionPtr input, bool inline_first = false);

  /// A filter or test that does not exist is an error at once, except inside `if`, where jinja2 waits until it is reached.
  bool lenient = false;
  void report_unknown();

  /// Names read so far that make a macro take more than its parameters.
  struct SpecialNames {
    bool varargs = false, kwargs = false, caller = false;
  } special;

  int nesting = 0;  ///< of expressions and statements together

 private:
  ExpressionPtr simple_tuple(bool with_namespace, std::string_view end_name, bool parenthesised);
  ExpressionPtr or_expression();
  ExpressionPtr and_expression();
  ExpressionPtr not_expression();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool with_filter = true);
  ExpressionPtr primary(bool with_namespace = false);
  ExpressionPtr list();
  ExpressionPtr dict();
  ExpressionPtr postfix(ExpressionPtr node);
  ExpressionPtr filters_and_tests(ExpressionPtr node);
  ExpressionPtr subscript(ExpressionPtr node);
  ExpressionPtr call(ExpressionPtr node);
  ExpressionPtr test(ExpressionPtr node);
  CallArguments call_arguments();
  bool at_tuple_end(std::string_view end_name) const;

  ExpressionPtr make(ExpressionKind kind, Place place) const;
  /// Sets the height from the children; a tree too high to walk is refused.
  ExpressionPtr finished(ExpressionPtr node) const;

  TokenStream& stream_;
  std::vector<std::pair<Place, std::string>> unknown_;
};

}  // namespace graft::text::jinja
