#include "graft/text/jinja/access.h"
#include "graft/text/jinja/evaluator.h"
#include "graft/text/jinja/filters.h"
#include "graft/text/jinja/is_tests.h"
#include "graft/text/jinja/operators.h"

namespace graft::text::jinja {

Value Evaluator::evaluate(const Expression& node, Scope& scope) {
  place_ = node.place;
  runtime_.charge(1);
  const Runtime::Level level(runtime_.nesting, runtime_.limits().nesting, "the template is nested");
  return evaluate_kind(node, scope);
}

Value Evaluator::evaluate_kind(const Expression& node, Scope& scope) {
  const auto item = [&](size_t i) { return node.items[i] ? evaluate(*node.items[i], scope) : Value(); };
  switch (node.kind) {
    case ExpressionKind::kConstant:
      return node.constant;
    case ExpressionKind::kName:
      return look_up(node, scope);
    case ExpressionKind::kTuple:
      return runtime_.tuple(evaluate_all(node.items, scope));
    case ExpressionKind::kList:
      return runtime_.list(evaluate_all(node.items, scope));
    case ExpressionKind::kDict:
      return dict_display(node, scope);
    case ExpressionKind::kNot:
      return Value(!truthy(runtime_, item(0)));
    case ExpressionKind::kNegate:
    case ExpressionKind::kPlus: {
      const Value operand = item(0);
      place_ = node.place;
      const Value negated = negate(runtime_, operand);
      return node.kind == ExpressionKind::kNegate ? negated : negate(runtime_, negated);
    }
    case ExpressionKind::kAnd: {
      const Value left = item(0);
      return truthy(runtime_, left) ? item(1) : left;
    }
    case ExpressionKind::kOr: {
      const Value left = item(0);
      return truthy(runtime_, left) ? left : item(1);
    }
    case ExpressionKind::kBinary: {
      const Value left = item(0);
      const Value right = item(1);
      place_ = node.place;
      return binary(runtime_, node.op, left, right);
    }
    case ExpressionKind::kConcatenate: {
      const Values parts = evaluate_all(node.items, scope);
      place_ = node.place;
      return concatenate(runtime_, parts);
    }
    case ExpressionKind::kCompare:
      return compare_chain(node, scope);
    case ExpressionKind::kConditional: {
      if (truthy(runtime_, item(1))) return item(0);
      if (node.items[2]) return item(2);
      return runtime_.undefined("the inline if-expression evaluated to false and no else section was defined");
    }
    case ExpressionKind::kAttribute: {
      const Value owner = item(0);
      place_ = node.place;
      return get_attribute(runtime_, owner, node.name);
    }
    case ExpressionKind::kItem: {
      const Value owner = item(0);
      const Value key = item(1);
      place_ = node.place;
      return get_item(runtime_, owner, key);
    }
    case ExpressionKind::kSlice: {
      const Value owner = item(0);
      const Value start = item(1), stop = item(2), step = item(3);
      place_ = node.place;
      return get_slice(runtime_, owner, start, stop, step);
    }
    case ExpressionKind::kCall:
      return call_expression(node, scope, nullptr);
    case ExpressionKind::kFilter:
      return filter(node, scope, nullptr);
    case ExpressionKind::kTest:
      return test(node, scope);
    case ExpressionKind::kNamespaceAttribute:
      break;
  }
  throw Fault("this expression can only be assigned to");
}

Value Evaluator::look_up(const Expression& node, Scope& scope) {
  for (const Scope* at = &scope; at != nullptr; at = at->outer) {
    if (const Value* found = at->find_here(node.symbol)) return *found;
  }
  const auto global = globals_.find(node.symbol);
  return global != globals_.end() ? global->second : runtime_.undefined("'" + node.name + "' is undefined");
}

Values Evaluator::evaluate_all(const std::vector<ExpressionPtr>& nodes, Scope& scope) {
  Values values;
  values.reserve(nodes.size());
  for (const auto& node : nodes) values.push_back(evaluate(*node, scope));
  return values;
}

Value Evaluator::dict_display(const Expression& node, Scope& scope) {
  auto dict = runtime_.dict();
  for (size_t i = 0; i + 1 < node.items.size(); i += 2) {
    const Value key = evaluate(*node.items[i], scope);
    dict->set(key, evaluate(*node.items[i + 1], scope));
  }
  return Value(std::move(dict));
}

Value Evaluator::compare_chain(const Expression& node, Scope& scope) {
  Value left = evaluate(*node.items[0], scope);
  for (size_t i = 0; i < node.comparisons.size(); ++i) {
    Value right = evaluate(*node.items[i + 1], scope);
    place_ = node.place;
    if (!compare(runtime_, node.comparisons[i], left, right)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Arguments Evaluator::evaluate_arguments(const CallArguments& source, Scope& scope) {
  Arguments arguments;
  arguments.positional = evaluate_all(source.positional, scope);
  for (const auto& [name, node] : source.keywords) arguments.keywords.emplace_back(name, evaluate(*node, scope));
  if (source.star) {
    for (Value& value : iterate(runtime_, evaluate(*source.star, scope))) arguments.positional.push_back(std::move(value));
  }
  if (source.double_star) {
    const Value spread = evaluate(*source.double_star, scope);
    if (!spread.is(Type::kDict)) throw Fault("the argument behind ** must be a mapping, not " + type_name(spread));
    for (const auto& [key, value] : spread.as<Dict>().items) {
      if (!key.is(Type::kString)) throw Fault("keywords must be strings");
      for (const auto& [name, given] : arguments.keywords) {
        if (name == key.text()) throw Fault("got multiple values for keyword argument '" + name + "'");
      }
      arguments.keywords.emplace_back(key.text(), value);
    }
  }
  return arguments;
}

Value Evaluator::filter(const Expression& node, Scope& scope, const Value* input) {
  // The innermost filter of a filter block or a filtered set block has no operand of its own.
  const Value value = node.items[0] == nullptr ? *input
                      : input != nullptr       ? filter(*node.items[0], scope, input)
                                               : evaluate(*node.items[0], scope);
  const Arguments arguments = evaluate_arguments(node.arguments, scope);
  place_ = node.place;
  const Filter found = find_filter(node.name);
  if (found == nullptr) throw Fault("No filter named '" + node.name + "'.");
  return found(runtime_, value, arguments);
}

Value Evaluator::test(const Expression& node, Scope& scope) {
  const Value value = evaluate(*node.items[0], scope);
  const Arguments arguments = evaluate_arguments(node.arguments, scope);
  place_ = node.place;
  const Test found = find_test(node.name);
  if (found == nullptr) throw Fault("No test named '" + node.name + "'.");
  return Value(found(runtime_, value, arguments) != node.negated);
}

Value Evaluator::call_expression(const Expression& node, Scope& scope, const Value* caller) {
  const Value callee = evaluate(*node.items[0], scope);
  Arguments arguments = evaluate_arguments(node.arguments, scope);
  if (caller != nullptr) arguments.keywords.emplace_back("caller", *caller);
  place_ = node.place;
  return call(runtime_, callee, arguments);
}

}  // namespace graft::text::jinja
