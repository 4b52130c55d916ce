#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "graft/text/jinja/ast.h"
#include "graft/text/jinja/runtime.h"

namespace graft::text::jinja {

/// What a body writes: the text and the bytes that generation blocks made.
struct Output {
  std::string text;
  std::vector<Mark> marks;
};

/// The variables of one block of the template. Inner scopes see outer ones; assignments stay in the innermost.
struct Scope : Object {
  explicit Scope(Meter* bill) : Object(Type::kNamespace, bill) {}
  Scope* outer = nullptr;
  bool captured = false;  ///< a macro may still read it: never reused
  std::vector<std::pair<Symbol, Value>> variables;

  const Value* find_here(Symbol symbol) const;
  void set(Symbol symbol, Value value);
};

/// Runs one rendering of a parsed template.
class Evaluator {
 public:
  Evaluator(const Template& source, Runtime& runtime) : template_(source), runtime_(runtime) {}

  /// `context`: the variables by name. DataError `origin:line:column` for whatever goes wrong.
  Output run(const std::vector<std::pair<std::string, Value>>& context);
  /// Generation blocks that wrote something; more than there are marks when a template changed their text afterwards.
  size_t generated_blocks() const { return generated_blocks_; }

 private:
  enum class Flow { kNext, kBreak, kContinue };

  // evaluator_expressions.cpp
  Value evaluate(const Expression& node, Scope& scope);
  Value evaluate_kind(const Expression& node, Scope& scope);
  Value look_up(const Expression& node, Scope& scope);
  Value compare_chain(const Expression& node, Scope& scope);
  Value dict_display(const Expression& node, Scope& scope);
  Value filter(const Expression& node, Scope& scope, const Value* input);
  Value test(const Expression& node, Scope& scope);
  Value call_expression(const Expression& node, Scope& scope, const Value* caller);
  Values evaluate_all(const std::vector<ExpressionPtr>& nodes, Scope& scope);
  Arguments evaluate_arguments(const CallArguments& source, Scope& scope);

  // evaluator_statements.cpp
  Flow execute(const Body& body, Scope& scope, Output& out);
  Flow execute(const Statement& node, Scope& scope, Output& out);
  Flow if_statement(const Statement& node, Scope& scope, Output& out);
  void for_statement(const Statement& node, Scope& scope, Output& out);
  void run_loop(const Statement& node, Scope& scope, Output& out, const Value& iterable, int depth);
  void set_block(const Statement& node, Scope& scope);
  void call_block(const Statement& node, Scope& scope, Output& out);
  void with(const Statement& node, Scope& scope, Output& out);
  void generation(const Statement& node, Scope& scope, Output& out);
  void assign(const Expression& target, const Value& value, Scope& scope);
  void write(Output& out, const Value& value);
  Value text_value(Output&& out);

  // evaluator_macros.cpp
  Value make_macro(const Statement& node, Scope& scope);
  Value call_macro(const Statement& node, Scope& scope, const Arguments& arguments);

  Scope& open(Scope& outer);
  Scope& open(Scope& outer, const std::vector<Symbol>& hidden);
  void hide(Scope& scope, const std::vector<Symbol>& names);
  void close(Scope& scope);
  static void capture(Scope* scope);
  [[noreturn]] void report(const std::string& message, bool is_refusal) const;

  const Template& template_;
  Runtime& runtime_;
  Place place_;  ///< of the node at work: where an error is reported
  Scope* root_ = nullptr;
  std::vector<Scope*> free_scopes_;
  std::map<Symbol, Value> globals_;
  size_t generated_blocks_ = 0;
  Symbol loop_ = -1, caller_ = -1, varargs_ = -1, kwargs_ = -1;
};

}  // namespace graft::text::jinja
