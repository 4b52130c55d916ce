#include "graft/text/jinja/expression_parser.h"

#include <algorithm>

namespace graft::text::jinja {
namespace {

constexpr int kMaximumHeight = 400;  // of the tree: an evaluation frame is below 2 KiB

}  // namespace

ExpressionPtr ExpressionParser::make(ExpressionKind kind, Place place) const {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->place = place;
  return node;
}

ExpressionPtr ExpressionParser::finished(ExpressionPtr node) const {
  int height = 0;
  const auto look = [&](const ExpressionPtr& child) {
    if (child) height = std::max(height, child->height);
  };
  for (const auto& item : node->items) look(item);
  for (const auto& argument : node->arguments.positional) look(argument);
  for (const auto& [name, argument] : node->arguments.keywords) look(argument);
  look(node->arguments.star);
  look(node->arguments.double_star);
  node->height = height + 1;
  if (node->height > kMaximumHeight)
    stream_.fail("the expression is more than " + std::to_string(kMaximumHeight) + " operations deep", node->place);
  return node;
}

void ExpressionParser::report_unknown() {
  if (!unknown_.empty() && !lenient) stream_.fail(unknown_.front().second, unknown_.front().first);
  unknown_.clear();
}

ExpressionPtr ExpressionParser::expression(bool with_conditional) {
  const Nested nested(nesting, stream_);
  if (!with_conditional) return or_expression();
  const size_t unknown_before = unknown_.size();
  auto node = or_expression();
  while (stream_.current().is_name("if")) {
    auto conditional = make(ExpressionKind::kConditional, stream_.next().place);
    auto condition = or_expression();
    auto otherwise = stream_.skip_name("else") ? expression() : nullptr;
    conditional->items.push_back(std::move(node));
    conditional->items.push_back(std::move(condition));
    conditional->items.push_back(std::move(otherwise));
    node = finished(std::move(conditional));
    unknown_.resize(unknown_before);  // reached only when the condition says so
  }
  return node;
}

ExpressionPtr ExpressionParser::or_expression() {
  auto left = and_expression();
  while (stream_.current().is_name("or")) {
    auto node = make(ExpressionKind::kOr, stream_.next().place);
    node->items.push_back(std::move(left));
    node->items.push_back(and_expression());
    left = finished(std::move(node));
  }
  return left;
}

ExpressionPtr ExpressionParser::and_expression() {
  auto left = not_expression();
  while (stream_.current().is_name("and")) {
    auto node = make(ExpressionKind::kAnd, stream_.next().place);
    node->items.push_back(std::move(left));
    node->items.push_back(not_expression());
    left = finished(std::move(node));
  }
  return left;
}

ExpressionPtr ExpressionParser::not_expression() {
  if (!stream_.current().is_name("not")) return comparison();
  const Nested nested(nesting, stream_);
  auto node = make(ExpressionKind::kNot, stream_.next().place);
  node->items.push_back(not_expression());
  return finished(std::move(node));
}

ExpressionPtr ExpressionParser::comparison() {
  static const std::vector<std::pair<std::string_view, Comparison>> kOperators = {
      {"==", Comparison::kEqual},     {"!=", Comparison::kNotEqual}, {"<", Comparison::kLess},
      {"<=", Comparison::kLessEqual}, {">", Comparison::kGreater},   {">=", Comparison::kGreaterEqual}};
  auto first = sum();
  ExpressionPtr node;
  while (true) {
    const Place place = stream_.current().place;
    Comparison comparison{};
    const auto found =
        std::find_if(kOperators.begin(), kOperators.end(), [&](const auto& op) { return stream_.current().is_operator(op.first); });
    if (found != kOperators.end()) {
      comparison = found->second;
      stream_.next();
    } else if (stream_.skip_name("in")) {
      comparison = Comparison::kIn;
    } else if (stream_.current().is_name("not") && stream_.look().is_name("in")) {
      stream_.next();
      stream_.next();
      comparison = Comparison::kNotIn;
    } else {
      return node ? finished(std::move(node)) : std::move(first);
    }
    if (!node) {
      node = make(ExpressionKind::kCompare, place);
      node->items.push_back(std::move(first));
    }
    node->comparisons.push_back(comparison);
    node->items.push_back(sum());
  }
}

ExpressionPtr ExpressionParser::sum() {
  auto left = concatenation();
  while (stream_.current().is_operator("+") || stream_.current().is_operator("-")) {
    auto node = make(ExpressionKind::kBinary, stream_.current().place);
    node->op = stream_.next().text == "+" ? Operator::kAdd : Operator::kSubtract;
    node->items.push_back(std::move(left));
    node->items.push_back(concatenation());
    left = finished(std::move(node));
  }
  return left;
}

ExpressionPtr ExpressionParser::concatenation() {
  auto first = product();
  if (!stream_.current().is_operator("~")) return first;
  auto node = make(ExpressionKind::kConcatenate, stream_.current().place);
  node->items.push_back(std::move(first));
  while (stream_.skip_operator("~")) node->items.push_back(product());
  return finished(std::move(node));
}

ExpressionPtr ExpressionParser::product() {
  static const std::vector<std::pair<std::string_view, Operator>> kOperators = {
      {"*", Operator::kMultiply}, {"/", Operator::kDivide}, {"//", Operator::kFloorDivide}, {"%", Operator::kModulo}};
  auto left = power();
  while (true) {
    const auto found =
        std::find_if(kOperators.begin(), kOperators.end(), [&](const auto& op) { return stream_.current().is_operator(op.first); });
    if (found == kOperators.end()) return left;
    auto node = make(ExpressionKind::kBinary, stream_.next().place);
    node->op = found->second;
    node->items.push_back(std::move(left));
    node->items.push_back(power());
    left = finished(std::move(node));
  }
}

ExpressionPtr ExpressionParser::power() {
  auto left = unary();
  while (stream_.current().is_operator("**")) {
    auto node = make(ExpressionKind::kBinary, stream_.next().place);
    node->op = Operator::kPower;
    node->items.push_back(std::move(left));
    node->items.push_back(unary());
    left = finished(std::move(node));
  }
  return left;
}

ExpressionPtr ExpressionParser::unary(bool with_filter) {
  ExpressionPtr node;
  if (stream_.current().is_operator("-") || stream_.current().is_operator("+")) {
    const Nested nested(nesting, stream_);
    const bool minus = stream_.current().text == "-";
    auto sign = make(minus ? ExpressionKind::kNegate : ExpressionKind::kPlus, stream_.next().place);
    sign->items.push_back(unary(false));
    node = finished(std::move(sign));
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return with_filter ? filters_and_tests(std::move(node)) : std::move(node);
}

ExpressionPtr ExpressionParser::primary(bool with_namespace) {
  const Token token = stream_.current();
  auto node = make(ExpressionKind::kConstant, token.place);
  if (token.type == TokenType::kName) {
    stream_.next();
    if (token.text == "true" || token.text == "True") {
      node->constant = Value(true);
    } else if (token.text == "false" || token.text == "False") {
      node->constant = Value(false);
    } else if (token.text == "none" || token.text == "None") {
      node->constant = Value();
    } else if (with_namespace && stream_.current().is_operator(".")) {
      stream_.next();
      node->kind = ExpressionKind::kNamespaceAttribute;
      node->symbol = stream_.symbol(token.text);
      node->name = stream_.expect(TokenType::kName, "an attribute's name").text;
    } else {
      node->kind = ExpressionKind::kName;
      node->symbol = stream_.symbol(token.text);
      node->name = token.text;
      special.varargs |= token.text == "varargs";
      special.kwargs |= token.text == "kwargs";
      special.caller |= token.text == "caller";
    }
  } else if (token.type == TokenType::kString) {
    std::string text;
    while (stream_.current().type == TokenType::kString) text += stream_.next().text;
    node->constant = constant_string(std::move(text));
  } else if (token.type == TokenType::kInteger) {
    node->constant = Value(stream_.next().integer);
  } else if (token.type == TokenType::kFloat) {
    node->constant = Value(stream_.next().number);
  } else if (stream_.skip_operator("(")) {
    node = tuple(true, "", true);
    stream_.expect_operator(")");
  } else if (token.is_operator("[")) {
    node = list();
  } else if (token.is_operator("{")) {
    node = dict();
  } else {
    stream_.fail("unexpected " + TokenStream::describe(token));
  }
  return node;
}

bool ExpressionParser::at_tuple_end(std::string_view end_name) const {
  const Token& token = stream_.current();
  return token.type == TokenType::kVariableEnd || token.type == TokenType::kBlockEnd || token.is_operator(")") ||
         (!end_name.empty() && token.is_name(end_name));
}

ExpressionPtr ExpressionParser::tuple(bool with_conditional, std::string_view end_name, bool parenthesised) {
  const Nested nested(nesting, stream_);
  auto node = make(ExpressionKind::kTuple, stream_.current().place);
  bool is_tuple = false;
  while (true) {
    if (!node->items.empty()) stream_.expect_operator(",");
    if (at_tuple_end(end_name)) break;
    node->items.push_back(expression(with_conditional));
    if (!stream_.current().is_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !node->items.empty()) return std::move(node->items[0]);
  if (!is_tuple && !parenthesised) stream_.fail("expected an expression, got " + TokenStream::describe(stream_.current()));
  return finished(std::move(node));
}

ExpressionPtr ExpressionParser::simple_tuple(bool with_namespace, std::string_view end_name, bool parenthesised) {
  const Nested nested(nesting, stream_);
  auto node = make(ExpressionKind::kTuple, stream_.current().place);
  bool is_tuple = false;
  while (true) {
    if (!node->items.empty()) stream_.expect_operator(",");
    if (at_tuple_end(end_name) || stream_.current().is_operator("=")) break;
    if (stream_.skip_operator("(")) {
      node->items.push_back(simple_tuple(with_namespace, end_name, true));
      stream_.expect_operator(")");
    } else {
      node->items.push_back(primary(with_namespace));
    }
    if (!stream_.current().is_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !node->items.empty()) return std::move(node->items[0]);
  if (!is_tuple && !parenthesised) stream_.fail("expected a name to assign to, got " + TokenStream::describe(stream_.current()));
  return finished(std::move(node));
}

ExpressionPtr ExpressionParser::target(bool with_namespace, std::string_view end_name) {
  const SpecialNames read_before = special;  // assigning to a name does not read it
  auto node = simple_tuple(with_namespace, end_name, false);
  special = read_before;
  const auto check = [this](const auto& self, const Expression& part) -> void {
    if (part.kind == ExpressionKind::kTuple) {
      for (const auto& item : part.items) self(self, *item);
    } else if (part.kind != ExpressionKind::kName && part.kind != ExpressionKind::kNamespaceAttribute) {
      stream_.fail("can't assign to this expression", part.place);
    }
  };
  check(check, *node);
  return node;
}

}  // namespace graft::text::jinja
