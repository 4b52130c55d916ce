#include "graft/text/jinja/scope_names.h"

#include <algorithm>
#include <iterator>
#include <set>

namespace graft::text::jinja {
namespace {

/// What one scope (jinja2: a frame's Symbols) knows of names so far, or what a branch of an `if` adds to that.
struct Names {
  const Names* outer = nullptr;   ///< of the scope around
  const Names* before = nullptr;  ///< of this scope, where the branch begins
  std::set<Symbol> known;
  std::set<Symbol> undefined;  ///< of `known`: those without a value when the scope opens

  Names branch() const { return {outer, this, {}, {}}; }

  bool is_known_here(Symbol name) const { return known.count(name) != 0 || (before != nullptr && before->is_known_here(name)); }
  bool is_known(Symbol name) const { return is_known_here(name) || (outer != nullptr && outer->is_known(name)); }

  void declare(Symbol name) { known.insert(name); }
  void load(Symbol name) {
    if (!is_known(name)) known.insert(name);
  }
  void store(Symbol name) {
    if (is_known_here(name)) return;
    if (!is_known(name)) undefined.insert(name);
    known.insert(name);
  }
  /// A name that a branch stores keeps the value it has outside, whichever branch is taken.
  void join(const Names& branch) { known.insert(branch.known.begin(), branch.known.end()); }
};

/// A walk over one scope's own statements; what is nested in them is other scopes' affair.
class Walk {
 public:
  explicit Walk(const Names* outer) { names.outer = outer; }

  Names names;
  std::set<Symbol> seen;  ///< every name that is read

  void read(const Expression* node) { read(node, names); }
  void visit(const Body& body) { visit(body, names); }
  /// A loop's and a with's own variables.
  void declare(const Expression& target) { assign(target, names, &Names::declare); }
  void store(const Expression& target) { assign(target, names, &Names::store); }

 private:
  void read(const Expression* node, Names& into) {
    if (node == nullptr) return;
    if (node->kind == ExpressionKind::kName) load(node->symbol, into);
    for (const auto& item : node->items) read(item.get(), into);
    for (const auto& argument : node->arguments.positional) read(argument.get(), into);
    for (const auto& argument : node->arguments.keywords) read(argument.second.get(), into);
    read(node->arguments.star.get(), into);
    read(node->arguments.double_star.get(), into);
  }

  void load(Symbol name, Names& into) {
    into.load(name);
    seen.insert(name);
  }

  void assign(const Expression& target, Names& into, void (Names::*use)(Symbol)) {
    if (target.kind == ExpressionKind::kName) return (into.*use)(target.symbol);
    if (target.kind == ExpressionKind::kNamespaceAttribute) return load(target.symbol, into);
    for (const auto& item : target.items) assign(*item, into, use);
  }

  void visit(const Body& body, Names& into) {
    for (const auto& statement : body) visit(*statement, into);
  }

  void visit(const Statement& node, Names& into) {
    switch (node.kind) {
      case StatementKind::kIf:
        return visit_if(node, into);
      case StatementKind::kSet:
        read(node.expression.get(), into);
        return assign(*node.target, into, &Names::store);
      case StatementKind::kSetBlock:
        return assign(*node.target, into, &Names::store);
      case StatementKind::kMacro:
        return into.store(node.symbol);
      case StatementKind::kWith:
        for (const auto& assignment : node.assignments) read(assignment.second.get(), into);
        return;
      case StatementKind::kBlock:
        return;
      default:
        return read(node.expression.get(), into);
    }
  }

  void visit_if(const Statement& node, Names& into) {
    std::vector<Names> branches;
    for (const auto& [condition, body] : node.branches) {
      Names& branch = branches.emplace_back(into.branch());
      read(condition.get(), branches.size() == 1 ? into : branch);
      visit(body, branch);
    }
    for (const Names& branch : branches) into.join(branch);
  }
};

using Seen = std::set<Symbol>;
void visit_nested(const Body& body, const Names& around, Seen* seen);

/// What the scope must hide: the names without a value at its beginning that something nested in it sees. Adds all that is seen.
std::vector<Symbol> end_scope(const Walk& walk, const Body& body, Seen* seen) {
  Seen within;
  visit_nested(body, walk.names, &within);
  std::vector<Symbol> hidden;
  std::set_intersection(walk.names.undefined.begin(), walk.names.undefined.end(), within.begin(), within.end(), std::back_inserter(hidden));
  seen->insert(within.begin(), within.end());
  seen->insert(walk.seen.begin(), walk.seen.end());
  return hidden;
}

void visit_scopes_of(Statement& node, const Names& around, Seen* seen) {
  if (node.kind == StatementKind::kIf) {
    for (const auto& branch : node.branches) visit_nested(branch.second, around, seen);
    return;
  }
  Walk walk(node.kind == StatementKind::kBlock ? nullptr : &around);
  if (node.kind == StatementKind::kFor) {
    walk.declare(*node.target);
    Walk condition(&around);
    condition.read(node.condition.get());
    seen->insert(condition.seen.begin(), condition.seen.end());
  }
  if (node.kind == StatementKind::kSetBlock) {
    walk.store(*node.target);
    walk.read(node.expression.get());
  }
  for (const auto& assignment : node.assignments) walk.declare(*assignment.first);
  for (const Parameter& parameter : node.parameters) walk.names.declare(parameter.symbol);
  for (const Parameter& parameter : node.parameters) walk.read(parameter.standard.get());
  walk.visit(node.body);
  node.hidden = end_scope(walk, node.body, seen);
  Walk otherwise(&around);
  otherwise.visit(node.otherwise);
  node.hidden_otherwise = end_scope(otherwise, node.otherwise, seen);
}

void visit_nested(const Body& body, const Names& around, Seen* seen) {
  for (const auto& statement : body) visit_scopes_of(*statement, around, seen);
}

}  // namespace

void find_hidden_names(Template* source) {
  Walk walk(nullptr);
  walk.visit(source->body);
  Seen seen;
  source->hidden = end_scope(walk, source->body, &seen);
}

}  // namespace graft::text::jinja
