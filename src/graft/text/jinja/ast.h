#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "graft/text/jinja/lexer.h"

namespace graft::text::jinja {

/// A variable's number in Template::symbols: names are compared once, while parsing.
using Symbol = int;

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

enum class Operator { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo, kPower, kConcatenate };
enum class Comparison { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kIn, kNotIn };

struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> keywords;
  ExpressionPtr star, double_star;
};

enum class ExpressionKind {
  kConstant,  // constant
  kName,      // symbol, name
  kTuple,
  kList,  // items
  kDict,  // items: key, value, key, value …
  kNegate,
  kPlus,
  kNot,  // items[0]
  kAnd,
  kOr,                  // items[0], items[1]
  kBinary,              // op, items[0], items[1]
  kConcatenate,         // items: all joined as text
  kCompare,             // items[0] comparisons[0] items[1] comparisons[1] items[2] …
  kConditional,         // items[0] if items[1] else items[2] (may be null)
  kAttribute,           // items[0].name
  kItem,                // items[0][items[1]]
  kSlice,               // items[0][items[1]:items[2]:items[3]], each of the last three may be null
  kCall,                // items[0](arguments)
  kFilter,              // items[0]|name(arguments); items[0] is null in a filter block
  kTest,                // items[0] is [not] name(arguments)
  kNamespaceAttribute,  // target of set: symbol.name
};

struct Expression {
  ExpressionKind kind;
  Place place;
  Value constant;
  Symbol symbol = -1;
  std::string name;
  Operator op = Operator::kAdd;
  std::vector<Comparison> comparisons;
  bool negated = false;
  std::vector<ExpressionPtr> items;
  CallArguments arguments;
  int height = 1;  ///< bounds the recursion of whoever walks the tree
};

struct Statement;
using StatementPtr = std::unique_ptr<Statement>;
using Body = std::vector<StatementPtr>;

enum class StatementKind {
  kText,         // text
  kOutput,       // expression
  kIf,           // branches (condition null for else)
  kFor,          // target, expression, condition (may be null), body, otherwise, recursive
  kSet,          // target = expression
  kSetBlock,     // target, expression (a filter with an open end, may be null), body
  kMacro,        // symbol, name, parameters, body
  kCallBlock,    // expression (a call), parameters, body
  kFilterBlock,  // expression (a filter with an open end), body
  kWith,         // assignments, body
  kBlock,        // name, body; scoped
  kGeneration,   // body
  kBreak,
  kContinue,
  kForbidden,  // name: include, import, … which need files
};

struct Parameter {
  Symbol symbol;
  std::string name;
  ExpressionPtr standard;  ///< default value, may be null
};

struct Statement {
  StatementKind kind;
  Place place;
  std::string text, name;
  Symbol symbol = -1;
  ExpressionPtr target, expression, condition;
  std::vector<std::pair<ExpressionPtr, Body>> branches;
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> assignments;
  std::vector<Parameter> parameters;
  Body body, otherwise;
  std::vector<Symbol> hidden, hidden_otherwise;  ///< undefined when the body opens, whatever the scopes around say: scope_names.h
  bool recursive = false, scoped = false;
  bool uses_varargs = false, uses_kwargs = false, uses_caller = false;  ///< a macro's body reads these names
};

struct Template {
  std::string origin;
  Body body;
  std::vector<std::string> symbols;
  std::vector<Symbol> hidden;  ///< as in Statement
  bool has_generation = false;
};

}  // namespace graft::text::jinja
