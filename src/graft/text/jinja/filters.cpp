#include "graft/text/jinja/filters.h"

#include <map>

#include "graft/base/strings.h"
#include "graft/text/jinja/access.h"
#include "graft/text/jinja/numbers.h"
#include "graft/text/jinja/operators.h"
#include "graft/text/jinja/unicode.h"

namespace graft::text::jinja {
namespace {

const std::map<std::string, Filter>& table() {
  static const std::map<std::string, Filter> filters = [] {
    std::map<std::string, Filter> all;
    for (const auto* group : {&text_filters(), &number_filters(), &sequence_filters(), &selection_filters()}) {
      for (const NamedFilter& entry : *group) all.emplace(entry.name, entry.filter);
    }
    return all;
  }();
  return filters;
}

}  // namespace

Filter find_filter(const std::string& name) {
  const auto found = table().find(name);
  return found == table().end() ? nullptr : found->second;
}

std::vector<std::string> filter_names() {
  std::vector<std::string> names;
  for (const auto& [name, filter] : table()) names.push_back(name);
  return names;
}

Value attribute_path(Runtime& runtime, Value item, const Value& path, const Value* standard) {
  const auto step = [&](const Value& key) {
    item = get_item(runtime, item, key);
    if (standard != nullptr && !standard->is(Type::kNone) && item.is(Type::kUndefined)) item = *standard;
  };
  if (path.is(Type::kNone)) return item;
  if (!path.is(Type::kString)) return step(path), item;
  for (const std::string& part : split(path.text(), '.')) {
    const bool is_number = !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
    step(is_number ? Value(parse_integer(part).value()) : runtime.string(part));
  }
  return item;
}

Value ignore_case(Runtime& runtime, const Value& value) { return value.is(Type::kString) ? runtime.string(to_lower(value.text())) : value; }

}  // namespace graft::text::jinja
