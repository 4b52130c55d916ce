#include "graft/text/jinja/evaluator.h"

#include <algorithm>

#include "graft/base/error.h"
#include "graft/text/jinja/globals.h"

namespace graft::text::jinja {

const Value* Scope::find_here(Symbol symbol) const {
  for (const auto& [known, value] : variables) {
    if (known == symbol) return &value;
  }
  return nullptr;
}

void Scope::set(Symbol symbol, Value value) {
  for (auto& [known, content] : variables) {
    if (known == symbol) {
      content = std::move(value);
      return;
    }
  }
  variables.emplace_back(symbol, std::move(value));
}

Scope& Evaluator::open(Scope& outer) {
  Scope* scope = nullptr;
  if (free_scopes_.empty()) {
    scope = runtime_.keep<Scope>(runtime_.meter());
  } else {
    scope = free_scopes_.back();
    free_scopes_.pop_back();
  }
  scope->outer = &outer;
  return *scope;
}

Scope& Evaluator::open(Scope& outer, const std::vector<Symbol>& hidden) {
  Scope& scope = open(outer);
  hide(scope, hidden);
  return scope;
}

void Evaluator::hide(Scope& scope, const std::vector<Symbol>& names) {
  for (const Symbol name : names) {
    scope.set(name, runtime_.undefined("'" + template_.symbols[static_cast<size_t>(name)] + "' is undefined"));
  }
}

void Evaluator::close(Scope& scope) {
  if (scope.captured) return;
  scope.variables.clear();
  free_scopes_.push_back(&scope);
}

void Evaluator::capture(Scope* scope) {
  for (; scope != nullptr && !scope->captured; scope = scope->outer) scope->captured = true;
}

void Evaluator::report(const std::string& message, bool is_refusal) const {
  const std::string where = template_.origin + ":" + std::to_string(place_.line) + ":" + std::to_string(place_.column);
  DataError error("chat template: " + message);
  error.at(where);
  if (is_refusal) error.hint("the template refuses such a conversation: change the messages, or choose another template");
  throw error;
}

Output Evaluator::run(const std::vector<std::pair<std::string, Value>>& context) {
  Output out;
  try {
    root_ = runtime_.keep<Scope>(runtime_.meter());
    capture(root_);
    for (size_t i = 0; i < template_.symbols.size(); ++i) {
      const std::string& name = template_.symbols[i];
      const auto symbol = static_cast<Symbol>(i);
      if (name == "loop") loop_ = symbol;
      if (name == "caller") caller_ = symbol;
      if (name == "varargs") varargs_ = symbol;
      if (name == "kwargs") kwargs_ = symbol;
      Value value;
      if (find_global(runtime_, name, &value)) globals_.emplace(symbol, value);
      for (const auto& [known, given] : context) {
        if (known == name) root_->set(symbol, given);
      }
    }
    hide(*root_, template_.hidden);
    execute(template_.body, *root_, out);
  } catch (const Refusal& refusal) {
    report(refusal.what(), true);
  } catch (const Fault& fault) {
    report(fault.what(), false);
  }
  return out;
}

}  // namespace graft::text::jinja
