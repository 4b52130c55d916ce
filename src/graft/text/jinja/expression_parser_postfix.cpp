#include "graft/base/strings.h"
#include "graft/text/jinja/expression_parser.h"
#include "graft/text/jinja/filters.h"
#include "graft/text/jinja/is_tests.h"

// What follows an operand: subscripts, calls, filters and tests; and the bracketed literals.
namespace graft::text::jinja {
namespace {

std::string unknown_message(const char* kind, const std::string& name, const std::string& nearest) {
  return std::string("there is no ") + kind + " named '" + name + "'" + (nearest.empty() ? "" : "; nearest: '" + nearest + "'");
}

}  // namespace

ExpressionPtr ExpressionParser::list() {
  auto node = make(ExpressionKind::kList, stream_.next().place);
  while (!stream_.current().is_operator("]")) {
    if (!node->items.empty()) stream_.expect_operator(",");
    if (stream_.current().is_operator("]")) break;
    node->items.push_back(expression());
  }
  stream_.expect_operator("]");
  return finished(std::move(node));
}

ExpressionPtr ExpressionParser::dict() {
  auto node = make(ExpressionKind::kDict, stream_.next().place);
  while (!stream_.current().is_operator("}")) {
    if (!node->items.empty()) stream_.expect_operator(",");
    if (stream_.current().is_operator("}")) break;
    node->items.push_back(expression());
    stream_.expect_operator(":");
    node->items.push_back(expression());
  }
  stream_.expect_operator("}");
  return finished(std::move(node));
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr node) {
  while (true) {
    if (stream_.current().is_operator(".") || stream_.current().is_operator("[")) {
      node = subscript(std::move(node));
    } else if (stream_.current().is_operator("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::filters_and_tests(ExpressionPtr node) {
  while (true) {
    if (stream_.current().is_operator("|")) {
      node = filters(std::move(node));
    } else if (stream_.current().is_name("is")) {
      node = test(std::move(node));
    } else if (stream_.current().is_operator("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr node) {
  const Token token = stream_.next();
  if (token.text == ".") {
    const Token name = stream_.next();
    auto made = make(name.type == TokenType::kName ? ExpressionKind::kAttribute : ExpressionKind::kItem, token.place);
    made->items.push_back(std::move(node));
    if (name.type == TokenType::kName) {
      made->name = name.text;
    } else if (name.type == TokenType::kInteger) {
      auto index = make(ExpressionKind::kConstant, name.place);
      index->constant = Value(name.integer);
      made->items.push_back(std::move(index));
    } else {
      stream_.fail("expected a name or a number after '.'", name.place);
    }
    return finished(std::move(made));
  }
  ExpressionPtr from = stream_.current().is_operator(":") ? nullptr : expression();
  if (stream_.skip_operator(":")) {
    const auto bound = [this]() -> ExpressionPtr {
      return stream_.current().is_operator(":") || stream_.current().is_operator("]") ? nullptr : expression();
    };
    auto made = make(ExpressionKind::kSlice, token.place);
    made->items.push_back(std::move(node));
    made->items.push_back(std::move(from));
    made->items.push_back(bound());
    made->items.push_back(stream_.skip_operator(":") ? bound() : nullptr);
    stream_.expect_operator("]");
    return finished(std::move(made));
  }
  auto made = make(ExpressionKind::kItem, token.place);
  made->items.push_back(std::move(node));
  if (stream_.current().is_operator(",")) {
    auto key = make(ExpressionKind::kTuple, token.place);
    key->items.push_back(std::move(from));
    while (stream_.skip_operator(",")) {
      if (!stream_.current().is_operator("]")) key->items.push_back(expression());
    }
    from = finished(std::move(key));
  }
  made->items.push_back(std::move(from));
  stream_.expect_operator("]");
  return finished(std::move(made));
}

CallArguments ExpressionParser::call_arguments() {
  const Place place = stream_.current().place;
  stream_.expect_operator("(");
  CallArguments arguments;
  bool is_first = true;
  const auto ensure = [&](bool fine) {
    if (!fine) stream_.fail("invalid order of a call's arguments", place);
  };
  while (!stream_.current().is_operator(")")) {
    if (!is_first) {
      stream_.expect_operator(",");
      if (stream_.current().is_operator(")")) break;
    }
    is_first = false;
    if (stream_.skip_operator("*")) {
      ensure(!arguments.star && !arguments.double_star);
      arguments.star = expression();
    } else if (stream_.skip_operator("**")) {
      ensure(!arguments.double_star);
      arguments.double_star = expression();
    } else if (stream_.current().type == TokenType::kName && stream_.look().is_operator("=")) {
      ensure(!arguments.double_star);
      std::string name = stream_.next().text;
      stream_.next();
      for (const auto& [known, value] : arguments.keywords) {
        if (known == name) stream_.fail("the keyword argument '" + name + "' is given twice", place);
      }
      auto value = expression();
      arguments.keywords.emplace_back(std::move(name), std::move(value));
    } else {
      ensure(!arguments.star && !arguments.double_star && arguments.keywords.empty());
      arguments.positional.push_back(expression());
    }
  }
  stream_.expect_operator(")");
  return arguments;
}

ExpressionPtr ExpressionParser::call(ExpressionPtr node) {
  auto made = make(ExpressionKind::kCall, stream_.current().place);
  made->items.push_back(std::move(node));
  made->arguments = call_arguments();
  return finished(std::move(made));
}

ExpressionPtr ExpressionParser::filters(ExpressionPtr node, bool inline_first) {
  while (inline_first || stream_.current().is_operator("|")) {
    if (!inline_first) stream_.next();
    inline_first = false;
    const Token name = stream_.expect(TokenType::kName, "a filter's name");
    auto made = make(ExpressionKind::kFilter, name.place);
    made->name = name.text;
    while (stream_.skip_operator(".")) made->name += "." + stream_.expect(TokenType::kName, "a name").text;
    made->items.push_back(std::move(node));
    if (stream_.current().is_operator("(")) made->arguments = call_arguments();
    if (find_filter(made->name) == nullptr) {
      unknown_.emplace_back(name.place, unknown_message("filter", made->name, nearest_name(made->name, filter_names())));
    }
    node = finished(std::move(made));
  }
  return node;
}

ExpressionPtr ExpressionParser::test(ExpressionPtr node) {
  auto made = make(ExpressionKind::kTest, stream_.next().place);
  made->negated = stream_.skip_name("not");
  const Token name = stream_.expect(TokenType::kName, "a test's name");
  made->name = name.text;
  while (stream_.skip_operator(".")) made->name += "." + stream_.expect(TokenType::kName, "a name").text;
  made->items.push_back(std::move(node));
  const Token& next = stream_.current();
  const bool is_operand = next.type == TokenType::kString || next.type == TokenType::kInteger || next.type == TokenType::kFloat ||
                          next.is_operator("[") || next.is_operator("{") ||
                          (next.type == TokenType::kName && next.text != "else" && next.text != "or" && next.text != "and");
  if (next.is_operator("(")) {
    made->arguments = call_arguments();
  } else if (next.is_name("is")) {
    stream_.fail("tests can not be chained with 'is'");
  } else if (is_operand) {
    const Nested nested(nesting, stream_);
    made->arguments.positional.push_back(postfix(primary()));
  }
  if (find_test(made->name) == nullptr) {
    unknown_.emplace_back(name.place, unknown_message("test", made->name, nearest_name(made->name, test_names())));
  }
  return finished(std::move(made));
}

}  // namespace graft::text::jinja
