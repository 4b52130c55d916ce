#include <algorithm>

#include "graft/text/jinja/access.h"
#include "graft/text/jinja/evaluator.h"
#include "graft/text/jinja/globals.h"
#include "graft/text/jinja/loop.h"
#include "graft/text/jinja/operators.h"

namespace graft::text::jinja {

Evaluator::Flow Evaluator::execute(const Body& body, Scope& scope, Output& out) {
  for (const auto& statement : body) {
    const Flow flow = execute(*statement, scope, out);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Evaluator::Flow Evaluator::execute(const Statement& node, Scope& scope, Output& out) {
  place_ = node.place;
  runtime_.charge(1);
  const Runtime::Level level(runtime_.nesting, runtime_.limits().nesting, "the template is nested");
  switch (node.kind) {
    case StatementKind::kText:
      runtime_.check_size(out.text.size() + node.text.size());
      runtime_.charge_bytes(node.text.size());
      out.text += node.text;
      break;
    case StatementKind::kOutput:
      write(out, evaluate(*node.expression, scope));
      break;
    case StatementKind::kIf:
      return if_statement(node, scope, out);
    case StatementKind::kFor:
      for_statement(node, scope, out);
      break;
    case StatementKind::kSet: {
      const Value value = evaluate(*node.expression, scope);
      place_ = node.place;
      assign(*node.target, value, scope);
      break;
    }
    case StatementKind::kSetBlock:
      set_block(node, scope);
      break;
    case StatementKind::kMacro:
      scope.set(node.symbol, make_macro(node, scope));
      break;
    case StatementKind::kCallBlock:
      call_block(node, scope, out);
      break;
    case StatementKind::kFilterBlock: {
      Output body;
      Scope& inner = open(scope, node.hidden);
      execute(node.body, inner, body);
      const Value text = text_value(std::move(body));
      write(out, filter(*node.expression, inner, &text));
      close(inner);
      break;
    }
    case StatementKind::kWith:
      with(node, scope, out);
      break;
    case StatementKind::kBlock: {
      Scope& inner = open(node.scoped ? scope : *root_, node.hidden);
      execute(node.body, inner, out);
      close(inner);
      break;
    }
    case StatementKind::kGeneration:
      generation(node, scope, out);
      break;
    case StatementKind::kBreak:
      return Flow::kBreak;
    case StatementKind::kContinue:
      return Flow::kContinue;
    case StatementKind::kForbidden:
      throw Fault("the tag '" + node.name + "' needs another file, which a chat template can not have");
  }
  return Flow::kNext;
}

Evaluator::Flow Evaluator::if_statement(const Statement& node, Scope& scope, Output& out) {
  for (const auto& [condition, body] : node.branches) {
    if (!condition || truthy(runtime_, evaluate(*condition, scope))) return execute(body, scope, out);
  }
  return Flow::kNext;
}

void Evaluator::for_statement(const Statement& node, Scope& scope, Output& out) {
  const Value iterable = evaluate(*node.expression, scope);
  place_ = node.place;
  run_loop(node, scope, out, iterable, 0);
}

void Evaluator::run_loop(const Statement& node, Scope& scope, Output& out, const Value& iterable, int depth) {
  Values items = iterate(runtime_, iterable);
  if (node.condition) {
    Values kept;
    for (const Value& item : items) {
      Scope& inner = open(scope);
      assign(*node.target, item, inner);
      if (truthy(runtime_, evaluate(*node.condition, inner))) kept.push_back(item);
      close(inner);
    }
    items = std::move(kept);
  }
  Loop* loop = runtime_.keep<Loop>(std::move(items), depth, runtime_.meter());
  if (node.recursive) {
    capture(&scope);
    loop->recurse = [this, &node, &scope, depth](Runtime&, const Value& inner_iterable) {
      const Runtime::Level call_level(runtime_.calls, runtime_.limits().calls, "recursive loops are nested");
      Output inner;
      run_loop(node, scope, inner, inner_iterable, depth + 1);
      return text_value(std::move(inner));
    };
  }
  bool completed = false;  // jinja2's else asks whether any turn reached the end of the body, not whether there were items
  for (; loop->index0 < loop->items.size(); ++loop->index0) {
    runtime_.charge(4);
    Scope& inner = open(scope, node.hidden);
    if (loop_ >= 0) inner.set(loop_, Runtime::borrowed(loop));
    const Value item = loop->items[loop->index0];
    place_ = node.place;
    assign(*node.target, item, inner);
    const Flow flow = execute(node.body, inner, out);
    close(inner);
    completed |= flow == Flow::kNext;
    if (flow == Flow::kBreak) break;
  }
  if (!completed) {
    Scope& inner = open(scope, node.hidden_otherwise);
    execute(node.otherwise, inner, out);
    close(inner);
  }
  Values().swap(loop->items);  // whoever kept the loop variable sees it ended
}

void Evaluator::set_block(const Statement& node, Scope& scope) {
  Output body;
  Scope& inner = open(scope, node.hidden);
  execute(node.body, inner, body);
  Value text = text_value(std::move(body));
  if (node.expression) text = filter(*node.expression, inner, &text);
  close(inner);
  place_ = node.place;
  assign(*node.target, text, scope);
}

void Evaluator::call_block(const Statement& node, Scope& scope, Output& out) {
  const Value caller = make_macro(node, scope);
  write(out, call_expression(*node.expression, scope, &caller));
}

void Evaluator::with(const Statement& node, Scope& scope, Output& out) {
  Values values;
  for (const auto& [target, expression] : node.assignments) values.push_back(evaluate(*expression, scope));
  Scope& inner = open(scope, node.hidden);
  for (size_t i = 0; i < values.size(); ++i) assign(*node.assignments[i].first, values[i], inner);
  execute(node.body, inner, out);
  close(inner);
}

void Evaluator::generation(const Statement& node, Scope& scope, Output& out) {
  const size_t begin = out.text.size();
  const size_t marks_before = out.marks.size();
  Scope& inner = open(scope, node.hidden);
  execute(node.body, inner, out);
  close(inner);
  if (out.text.size() == begin) return;
  const size_t inside = out.marks.size() - marks_before;  // blocks within this one: part of it
  out.marks.resize(marks_before);
  generated_blocks_ -= std::min(generated_blocks_, inside);
  out.marks.push_back({begin, out.text.size()});
  ++generated_blocks_;
}

void Evaluator::assign(const Expression& target, const Value& value, Scope& scope) {
  if (target.kind == ExpressionKind::kName) return scope.set(target.symbol, value);
  if (target.kind == ExpressionKind::kNamespaceAttribute) {
    Expression name;
    name.kind = ExpressionKind::kName;
    name.symbol = target.symbol;
    name.name = template_.symbols[static_cast<size_t>(target.symbol)];
    const Value space = look_up(name, scope);
    if (!space.is(Type::kNamespace)) throw Fault("cannot assign attribute on non-namespace object '" + name.name + "'");
    return set_namespace_attribute(space.mutable_as<Namespace>(), target.name, value);
  }
  const Values parts = iterate(runtime_, value);
  if (parts.size() != target.items.size()) {
    throw Fault("can not unpack " + std::to_string(parts.size()) + " values into " + std::to_string(target.items.size()) + " names");
  }
  for (size_t i = 0; i < parts.size(); ++i) assign(*target.items[i], parts[i], scope);
}

void Evaluator::write(Output& out, const Value& value) {
  if (value.is(Type::kString)) {
    const auto& string = value.as<String>();
    runtime_.check_size(out.text.size() + string.text.size());
    runtime_.charge_bytes(string.text.size());
    for (const Mark& mark : string.marks) out.marks.push_back({out.text.size() + mark.begin, out.text.size() + mark.end});
    out.text += string.text;
    return;
  }
  const std::string text = to_text(runtime_, value);
  runtime_.check_size(out.text.size() + text.size());
  out.text += text;
}

Value Evaluator::text_value(Output&& out) { return runtime_.string(std::move(out.text), false, std::move(out.marks)); }

}  // namespace graft::text::jinja
