#include "graft/text/jinja/parser.h"

#include <algorithm>
#include <initializer_list>
#include <set>
#include <utility>

#include "graft/text/jinja/expression_parser.h"
#include "graft/text/jinja/scope_names.h"

namespace graft::text::jinja {
namespace {

using EndNames = std::initializer_list<std::string_view>;

/// The statement half of the grammar.
class Parser {
 public:
  Parser(std::string_view source, const std::string& origin) : stream_(tokenize(source, origin), origin), expressions_(stream_) {}

  Template run(const std::string& origin) {
    Template result;
    result.body = body_until({});
    result.symbols = stream_.take_symbols();
    result.origin = origin;
    result.has_generation = has_generation_;
    find_hidden_names(&result);
    return result;
  }

 private:
  /// Statements up to `{% NAME` for one of the names, which is left as the current token. No names: up to the end.
  Body body_until(EndNames ends) {
    const Nested nested(expressions_.nesting, stream_);
    Body body;
    while (true) {
      const Token& token = stream_.current();
      if (token.type == TokenType::kEnd) {
        if (ends.size() != 0) fail_missing(ends);
        return body;
      }
      if (token.type == TokenType::kData) {
        auto text = make(StatementKind::kText);
        text->text = stream_.next().text;
        body.push_back(std::move(text));
      } else if (token.type == TokenType::kVariableBegin) {
        auto output = make(StatementKind::kOutput);
        stream_.next();
        output->expression = expressions_.tuple();
        expressions_.report_unknown();
        stream_.expect(TokenType::kVariableEnd, "'}}'");
        body.push_back(std::move(output));
      } else {
        stream_.expect(TokenType::kBlockBegin, "text or a tag");
        for (const auto name : ends) {
          if (stream_.current().is_name(name)) return body;
        }
        statement(body, ends);
        expressions_.report_unknown();
        stream_.expect(TokenType::kBlockEnd, "'%}'");
      }
    }
  }

  [[noreturn]] void fail_missing(EndNames ends) {
    std::string names;
    for (const auto name : ends) names += (names.empty() ? "'" : " or '") + std::string(name) + "'";
    stream_.fail("the template ends where " + names + " is expected");
  }

  /// Body of a statement: an optional colon, the tag's end, the statements.
  Body body_of(EndNames ends) {
    stream_.skip_operator(":");
    expressions_.report_unknown();
    stream_.expect(TokenType::kBlockEnd, "'%}'");
    return body_until(ends);
  }

  /// As body_of, behind the closing name.
  Body closed_body(std::string_view end) {
    Body body = body_of({end});
    stream_.next();
    return body;
  }

  StatementPtr make(StatementKind kind) const {
    auto made = std::make_unique<Statement>();
    made->kind = kind;
    made->place = stream_.current().place;
    return made;
  }

  void statement(Body& body, EndNames ends) {
    if (stream_.current().type != TokenType::kName) stream_.fail("a tag's name expected, got " + TokenStream::describe(stream_.current()));
    const std::string name = stream_.current().text;
    if (name == "if") return body.push_back(if_statement());
    if (name == "for") return body.push_back(for_statement());
    if (name == "set") return body.push_back(set_statement());
    if (name == "macro") return body.push_back(macro());
    if (name == "call") return body.push_back(call_block());
    if (name == "filter") return body.push_back(filter_block());
    if (name == "with") return body.push_back(with());
    if (name == "block") return body.push_back(block());
    if (name == "generation") return body.push_back(generation());
    if (name == "break" || name == "continue") return body.push_back(loop_control(name));
    if (name == "print") return print(body);
    if (name == "include" || name == "import" || name == "from" || name == "extends") return body.push_back(forbidden(name));
    if (name == "autoescape") stream_.fail("the tag 'autoescape' is not supported: a chat template is not HTML");
    std::string message = "unknown tag '" + name + "'";
    if (ends.size() != 0) message += "; the innermost open block ends with '" + std::string(*(ends.end() - 1)) + "'";
    stream_.fail(message);
  }

  /// What jinja2 calls a soft frame: a missing filter inside counts only when it is reached.
  class Lenient {
   public:
    Lenient(ExpressionParser& parser, bool value) : parser_(parser), before_(std::exchange(parser.lenient, value)) {}
    ~Lenient() { parser_.lenient = before_; }
    Lenient(const Lenient&) = delete;
    Lenient& operator=(const Lenient&) = delete;

   private:
    ExpressionParser& parser_;
    bool before_;
  };

  StatementPtr if_statement() {
    const Lenient lenient(expressions_, true);
    auto made = make(StatementKind::kIf);
    stream_.next();
    while (true) {
      auto condition = expressions_.tuple(false);
      Body body = body_of({"elif", "else", "endif"});
      made->branches.emplace_back(std::move(condition), std::move(body));
      const std::string word = stream_.next().text;
      if (word == "elif") continue;
      if (word == "else") made->branches.emplace_back(nullptr, closed_body("endif"));
      return made;
    }
  }

  StatementPtr for_statement() {
    const Lenient strict(expressions_, false);
    auto made = make(StatementKind::kFor);
    stream_.next();
    made->target = expressions_.target(false, "in");
    if (made->target->kind == ExpressionKind::kName && made->target->name == "loop") {
      stream_.fail("can't assign to the special loop variable in a for-loop's target", made->target->place);
    }
    stream_.expect_name("in");
    made->expression = expressions_.tuple(false, "recursive");
    if (stream_.skip_name("if")) made->condition = expressions_.expression();
    made->recursive = stream_.skip_name("recursive");
    ++loops_;
    made->body = body_of({"endfor", "else"});
    --loops_;
    if (stream_.next().text == "else") made->otherwise = closed_body("endfor");
    return made;
  }

  StatementPtr set_statement() {
    auto made = make(StatementKind::kSet);
    stream_.next();
    made->target = expressions_.target(true);
    if (stream_.skip_operator("=")) {
      made->expression = expressions_.tuple();
      return made;
    }
    made->kind = StatementKind::kSetBlock;
    made->expression = expressions_.filters(nullptr);
    made->body = detached_body("endset");
    return made;
  }

  /// A body that is rendered on its own: loop controls do not reach out of it.
  Body detached_body(std::string_view end) {
    const int loops = std::exchange(loops_, 0);
    Body body = closed_body(end);
    loops_ = loops;
    return body;
  }

  void parameters(Statement& made) {
    stream_.expect_operator("(");
    std::set<std::string> seen;
    while (!stream_.current().is_operator(")")) {
      if (!made.parameters.empty()) stream_.expect_operator(",");
      const Token name = stream_.expect(TokenType::kName, "a parameter's name");
      if (!seen.insert(name.text).second) stream_.fail("the parameter '" + name.text + "' appears twice", name.place);
      Parameter parameter{stream_.symbol(name.text), name.text, nullptr};
      if (stream_.skip_operator("=")) {
        parameter.standard = expressions_.expression();
      } else if (!made.parameters.empty() && made.parameters.back().standard) {
        stream_.fail("a parameter without default follows one with default", name.place);
      }
      if (name.text == "caller" && !parameter.standard)
        stream_.fail("the special parameter 'caller' needs a default, or to be left out", name.place);
      made.parameters.push_back(std::move(parameter));
    }
    stream_.expect_operator(")");
  }

  void macro_body(Statement& made, std::string_view end) {
    const Lenient strict(expressions_, false);
    const auto outer = std::exchange(expressions_.special, {});
    made.body = detached_body(end);
    made.uses_varargs = expressions_.special.varargs;
    made.uses_kwargs = expressions_.special.kwargs;
    made.uses_caller = expressions_.special.caller;
    expressions_.special = outer;
  }

  StatementPtr macro() {
    auto made = make(StatementKind::kMacro);
    stream_.next();
    made->name = stream_.expect(TokenType::kName, "the macro's name").text;
    made->symbol = stream_.symbol(made->name);
    parameters(*made);
    macro_body(*made, "endmacro");
    return made;
  }

  StatementPtr call_block() {
    auto made = make(StatementKind::kCallBlock);
    stream_.next();
    made->name = "caller";
    if (stream_.current().is_operator("(")) parameters(*made);
    made->expression = expressions_.expression();
    if (made->expression->kind != ExpressionKind::kCall) stream_.fail("a call block needs a call", made->place);
    macro_body(*made, "endcall");
    return made;
  }

  StatementPtr filter_block() {
    auto made = make(StatementKind::kFilterBlock);
    stream_.next();
    made->expression = expressions_.filters(nullptr, true);
    made->body = detached_body("endfilter");
    return made;
  }

  StatementPtr with() {
    auto made = make(StatementKind::kWith);
    stream_.next();
    while (stream_.current().type != TokenType::kBlockEnd) {
      if (!made->assignments.empty()) stream_.expect_operator(",");
      auto target = expressions_.target(false);
      stream_.expect_operator("=");
      made->assignments.emplace_back(std::move(target), expressions_.expression());
    }
    made->body = closed_body("endwith");
    return made;
  }

  StatementPtr block() {
    auto made = make(StatementKind::kBlock);
    stream_.next();
    made->name = stream_.expect(TokenType::kName, "the block's name").text;
    made->scoped = stream_.skip_name("scoped");
    stream_.skip_name("required");
    if (!blocks_.insert(made->name).second) stream_.fail("block '" + made->name + "' defined twice", made->place);
    made->body = detached_body("endblock");
    stream_.skip_name(made->name);
    return made;
  }

  StatementPtr generation() {
    auto made = make(StatementKind::kGeneration);
    stream_.next();
    has_generation_ = true;
    made->body = detached_body("endgeneration");
    return made;
  }

  StatementPtr loop_control(const std::string& name) {
    auto made = make(name == "break" ? StatementKind::kBreak : StatementKind::kContinue);
    if (loops_ == 0) stream_.fail("'" + name + "' outside a loop");
    stream_.next();
    return made;
  }

  void print(Body& body) {
    stream_.next();
    while (stream_.current().type != TokenType::kBlockEnd) {
      auto output = make(StatementKind::kOutput);
      output->expression = expressions_.expression();
      body.push_back(std::move(output));
      if (stream_.current().type != TokenType::kBlockEnd) stream_.expect_operator(",");
    }
  }

  /// Needs another file, which a chat template has none of: an error when it is reached, as in transformers.
  StatementPtr forbidden(const std::string& name) {
    auto made = make(StatementKind::kForbidden);
    made->name = name;
    while (stream_.current().type != TokenType::kBlockEnd && stream_.current().type != TokenType::kEnd) stream_.next();
    return made;
  }

  TokenStream stream_;
  ExpressionParser expressions_;
  std::set<std::string> blocks_;
  int loops_ = 0;
  bool has_generation_ = false;
};

}  // namespace

Template parse_template(std::string_view source, const std::string& origin) { return Parser(source, origin).run(origin); }

}  // namespace graft::text::jinja
