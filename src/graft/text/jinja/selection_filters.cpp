#include "graft/text/jinja/arguments.h"
#include "graft/text/jinja/filters.h"
#include "graft/text/jinja/is_tests.h"
#include "graft/text/jinja/operators.h"

// map, select and their kin: filters that apply another filter or test to every item.
namespace graft::text::jinja {
namespace {

Value map(Runtime& runtime, const Value& input, const Arguments& arguments) {
  if (!truthy(runtime, input)) return runtime.iterator({});
  Values out;
  const bool by_attribute = arguments.positional.empty() && !arguments.keywords.empty() && [&] {
    for (const auto& [name, value] : arguments.keywords) {
      if (name == "attribute") return true;
    }
    return false;
  }();
  if (by_attribute) {
    const Bound bound("map", arguments, {"attribute", "default"});
    const Value standard = bound.value(1);
    for (const Value& item : iterate(runtime, input)) out.push_back(attribute_path(runtime, item, bound[0], &standard));
    return runtime.iterator(std::move(out));
  }
  if (arguments.positional.empty()) throw Fault("map requires a filter argument");
  if (!arguments.positional[0].is(Type::kString)) throw Fault("map: the filter's name must be a str");
  const std::string& name = arguments.positional[0].text();
  const Filter filter = find_filter(name);
  if (filter == nullptr) throw Fault("No filter named '" + name + "'.");
  Arguments rest;
  rest.positional.assign(arguments.positional.begin() + 1, arguments.positional.end());
  rest.keywords = arguments.keywords;
  const Runtime::Level level(runtime.nesting, runtime.limits().nesting, "filters are nested");
  for (const Value& item : iterate(runtime, input)) {
    runtime.charge(1);
    out.push_back(filter(runtime, item, rest));
  }
  return runtime.iterator(std::move(out));
}

template <bool kByAttribute, bool kKeep>
Value choose(Runtime& runtime, const Value& input, const Arguments& arguments) {
  if (!truthy(runtime, input)) return runtime.iterator({});
  const size_t name_at = kByAttribute ? 1 : 0;
  if (kByAttribute && arguments.positional.empty()) throw Fault("missing parameter for attribute name");
  Test test = nullptr;
  Arguments rest;
  if (arguments.positional.size() > name_at) {
    const Value& name = arguments.positional[name_at];
    if (!name.is(Type::kString)) throw Fault("the test's name must be a str");
    test = find_test(name.text());
    if (test == nullptr) throw Fault("No test named '" + name.text() + "'.");
    rest.positional.assign(arguments.positional.begin() + static_cast<std::ptrdiff_t>(name_at) + 1, arguments.positional.end());
    rest.keywords = arguments.keywords;
  }
  Values out;
  for (const Value& item : iterate(runtime, input)) {
    runtime.charge(1);
    const Value seen = kByAttribute ? attribute_path(runtime, item, arguments.positional[0]) : item;
    const bool holds = test != nullptr ? test(runtime, seen, rest) : truthy(runtime, seen);
    if (holds == kKeep) out.push_back(item);
  }
  return runtime.iterator(std::move(out));
}

}  // namespace

const std::vector<NamedFilter>& selection_filters() {
  static const std::vector<NamedFilter> filters = {
      {"map", map},
      {"select", choose<false, true>},
      {"reject", choose<false, false>},
      {"selectattr", choose<true, true>},
      {"rejectattr", choose<true, false>},
  };
  return filters;
}

}  // namespace graft::text::jinja
