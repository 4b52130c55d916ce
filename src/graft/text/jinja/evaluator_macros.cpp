#include <algorithm>

#include "graft/text/jinja/evaluator.h"

namespace graft::text::jinja {
namespace {

/// Takes the keyword out of the arguments; false when it was not given.
bool take_keyword(Arguments& arguments, const std::string& name, Value* value) {
  const auto found =
      std::find_if(arguments.keywords.begin(), arguments.keywords.end(), [&](const auto& keyword) { return keyword.first == name; });
  if (found == arguments.keywords.end()) return false;
  *value = found->second;
  arguments.keywords.erase(found);
  return true;
}

}  // namespace

Value Evaluator::make_macro(const Statement& node, Scope& scope) {
  capture(&scope);
  Value macro =
      runtime_.function(node.name, [this, &node, &scope](Runtime&, Arguments& arguments) { return call_macro(node, scope, arguments); });
  auto& function = macro.mutable_as<Function>();
  function.attributes.emplace_back("name", runtime_.string(node.name));
  Values names;
  for (const Parameter& parameter : node.parameters) names.push_back(runtime_.string(parameter.name));
  function.attributes.emplace_back("arguments", runtime_.tuple(std::move(names)));
  function.attributes.emplace_back("catch_kwargs", Value(node.uses_kwargs));
  function.attributes.emplace_back("catch_varargs", Value(node.uses_varargs));
  function.attributes.emplace_back("caller", Value(node.uses_caller));
  return macro;
}

/// jinja2.runtime.Macro.__call__ and the function it calls.
Value Evaluator::call_macro(const Statement& node, Scope& scope, const Arguments& given) {
  const Runtime::Level level(runtime_.calls, runtime_.limits().calls, "macro calls are nested");
  const Place called_from = place_;
  Arguments arguments = given;
  Scope& inner = open(scope, node.hidden);
  bool has_caller_parameter = false;
  std::vector<const Parameter*> missing;
  for (size_t i = 0; i < node.parameters.size(); ++i) {
    const Parameter& parameter = node.parameters[i];
    has_caller_parameter |= parameter.name == "caller";
    Value value;
    if (i < arguments.positional.size()) {
      inner.set(parameter.symbol, arguments.positional[i]);
    } else if (take_keyword(arguments, parameter.name, &value)) {
      inner.set(parameter.symbol, value);
    } else {
      missing.push_back(&parameter);
    }
  }
  if (node.uses_caller && !has_caller_parameter) {
    Value caller;
    if (!take_keyword(arguments, "caller", &caller)) caller = runtime_.undefined("No caller defined");
    inner.set(caller_, caller);
  }
  if (node.uses_kwargs) {
    auto rest = runtime_.dict();
    for (const auto& [name, value] : arguments.keywords) rest->set(runtime_.string(name), value);
    inner.set(kwargs_, Value(std::move(rest)));
  } else if (!arguments.keywords.empty()) {
    throw Fault("macro '" + node.name + "' takes no keyword argument '" + arguments.keywords.front().first + "'");
  }
  const size_t taken = std::min(arguments.positional.size(), node.parameters.size());
  Values rest(arguments.positional.begin() + static_cast<std::ptrdiff_t>(taken), arguments.positional.end());
  if (node.uses_varargs) {
    inner.set(varargs_, runtime_.tuple(std::move(rest)));
  } else if (!rest.empty()) {
    throw Fault("macro '" + node.name + "' takes not more than " + std::to_string(node.parameters.size()) + " argument(s)");
  }
  // A default sees the parameters, not what the template calls by their names: one that has no value yet is undefined.
  for (const Parameter* parameter : missing)
    inner.set(parameter->symbol, runtime_.undefined("parameter '" + parameter->name + "' was not provided"));
  for (const Parameter* parameter : missing) {
    if (parameter->standard) inner.set(parameter->symbol, evaluate(*parameter->standard, inner));
  }
  Output out;
  execute(node.body, inner, out);
  close(inner);
  place_ = called_from;
  return text_value(std::move(out));
}

}  // namespace graft::text::jinja
