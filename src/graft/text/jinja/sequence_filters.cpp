#include <algorithm>
#include <unordered_set>

#include "graft/base/strings.h"
#include "graft/text/jinja/access.h"
#include "graft/text/jinja/arguments.h"
#include "graft/text/jinja/filters.h"
#include "graft/text/jinja/operators.h"

namespace graft::text::jinja {
namespace {

Value length_filter(Runtime& runtime, const Value& input, const Arguments&) { return Value(length(runtime, input)); }

Value list_filter(Runtime& runtime, const Value& input, const Arguments&) { return runtime.list(iterate(runtime, input)); }

Value default_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("default", arguments, {"default_value", "boolean"});
  const bool replaced = input.is(Type::kUndefined) || (bound.flag(runtime, 1, false) && !truthy(runtime, input));
  return replaced ? bound.value(0, runtime.string("")) : input;
}

Value first(Runtime& runtime, const Value& input, const Arguments&) {
  if (input.is(Type::kIterator)) {
    auto& iterator = input.mutable_as<Iterator>();
    if (iterator.next < iterator.items.size()) return iterator.items[iterator.next++];
    return runtime.undefined("No first item, sequence was empty.");
  }
  const Values items = iterate(runtime, input);
  return items.empty() ? runtime.undefined("No first item, sequence was empty.") : items.front();
}

Value last(Runtime& runtime, const Value& input, const Arguments&) {
  const Values items = reversed(runtime, input);
  return items.empty() ? runtime.undefined("No last item, sequence was empty.") : items.front();
}

Value reverse(Runtime& runtime, const Value& input, const Arguments&) {
  if (input.is(Type::kString)) {
    Values characters = reversed(runtime, input);
    return concatenate(runtime, characters);
  }
  if (input.is(Type::kIterator)) {
    Values items = iterate(runtime, input);
    std::reverse(items.begin(), items.end());
    return runtime.list(std::move(items));
  }
  return runtime.iterator(reversed(runtime, input));
}

Value join_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("join", arguments, {"d", "attribute"});
  const std::string separator = bound.has(0) ? to_text(runtime, bound[0]) : "";
  std::string out;
  bool is_first = true;
  for (const Value& item : iterate(runtime, input)) {
    if (!is_first) out += separator;
    is_first = false;
    out += to_text(runtime, bound.has(1) && !bound.is_none(1) ? attribute_path(runtime, item, bound[1]) : item);
    runtime.check_size(out.size());
  }
  return runtime.string(std::move(out));
}

Value items_filter(Runtime& runtime, const Value& input, const Arguments&) {
  if (input.is(Type::kUndefined)) return runtime.iterator({});
  if (!input.is(Type::kDict)) throw Fault("Can only get item pairs from a mapping.");
  return runtime.iterator(iterate(runtime, runtime.view(input, View::Part::kItems)));
}

/// Stable sort by keys that are compared with Python's `<`.
Values sorted(Runtime& runtime, const Values& items, const Values& keys, bool descending) {
  std::vector<size_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return descending ? less(runtime, keys[b], keys[a]) : less(runtime, keys[a], keys[b]); });
  Values out;
  for (const size_t place : order) out.push_back(items[place]);
  return out;
}

Value sort(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  const bool exact_case = bound.flag(runtime, 1, false);
  std::vector<Value> paths;
  if (bound[2].is(Type::kString)) {
    for (const auto& path : split(bound.text(2), ',')) paths.push_back(runtime.string(path));
  } else {
    paths.push_back(bound[2]);
  }
  const Values items = iterate(runtime, input);
  Values keys;
  for (const Value& item : items) {
    Values parts;
    for (const Value& path : paths) {
      const Value part = attribute_path(runtime, item, path);
      parts.push_back(exact_case ? part : ignore_case(runtime, part));
    }
    keys.push_back(runtime.list(std::move(parts)));
  }
  return runtime.list(sorted(runtime, items, keys, bound.flag(runtime, 0, false)));
}

Value dict_sort(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  if (input.is(Type::kUndefined)) use_of_undefined(input);
  if (!input.is(Type::kDict)) throw Fault("'" + type_name(input) + "' object has no attribute 'items'");
  const std::string by = bound.has(1) ? bound.text(1) : "key";
  if (by != "key" && by != "value") throw Fault("dictsort: you can only sort by either \"key\" or \"value\"");
  Values pairs, keys;
  for (const auto& [key, value] : input.as<Dict>().items) {
    pairs.push_back(runtime.tuple({key, value}));
    const Value& sorted_by = by == "key" ? key : value;
    keys.push_back(bound.flag(runtime, 0, false) ? sorted_by : ignore_case(runtime, sorted_by));
  }
  return runtime.list(sorted(runtime, pairs, keys, bound.flag(runtime, 2, false)));
}

Value unique(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("unique", arguments, {"case_sensitive", "attribute"});
  std::unordered_set<std::string> seen;
  Values out;
  for (const Value& item : iterate(runtime, input)) {
    const Value key = attribute_path(runtime, item, bound[1]);
    if (seen.insert(hash_key(bound.flag(runtime, 0, false) ? key : ignore_case(runtime, key))).second) out.push_back(item);
  }
  return runtime.iterator(std::move(out));
}

template <bool kMaximum>
Value extreme(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("min", arguments, {"case_sensitive", "attribute"});
  const Values items = iterate(runtime, input);
  if (items.empty()) return runtime.undefined("No aggregated item, sequence was empty.");
  const auto key_of = [&](const Value& item) {
    const Value key = attribute_path(runtime, item, bound[1]);
    return bound.flag(runtime, 0, false) ? key : ignore_case(runtime, key);
  };
  size_t best = 0;
  Value best_key = key_of(items[0]);
  for (size_t i = 1; i < items.size(); ++i) {
    const Value key = key_of(items[i]);
    if (!(kMaximum ? less(runtime, best_key, key) : less(runtime, key, best_key))) continue;
    best = i;
    best_key = key;
  }
  return items[best];
}

Value sum(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("sum", arguments, {"attribute", "start"});
  Value total = bound.value(1, Value(Int{0}));
  if (total.is(Type::kString)) throw Fault("sum() can't sum strings");
  for (const Value& item : iterate(runtime, input)) total = binary(runtime, Operator::kAdd, total, attribute_path(runtime, item, bound[0]));
  return total;
}

Value batch(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("batch", arguments, {"linecount", "fill_with"}, 1);
  const Int size = bound.integer(0, 0);
  Values rows, row;
  for (const Value& item : iterate(runtime, input)) {
    if (Int(row.size()) == size) rows.push_back(runtime.list(std::exchange(row, {})));
    row.push_back(item);
  }
  if (!row.empty()) {
    if (!bound.is_none(1) && size < 1'000'000) {
      while (Int(row.size()) < size) row.push_back(bound[1]);
    }
    rows.push_back(runtime.list(std::move(row)));
  }
  return runtime.iterator(std::move(rows));
}

Value slice_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("slice", arguments, {"slices", "fill_with"}, 1);
  const Values items = iterate(runtime, input);
  const Int slices = bound.integer(0, 0);
  if (slices == 0) throw Fault("integer division or modulo by zero");
  if (slices > 1'000'000) throw Fault("slice: too many slices");
  Values out;
  Int begin = 0;
  for (Int i = 0; i < slices; ++i) {
    const bool longer = i < Int(items.size()) % slices;
    const Int end = begin + Int(items.size()) / slices + (longer ? 1 : 0);
    Values part(items.begin() + static_cast<std::ptrdiff_t>(begin), items.begin() + static_cast<std::ptrdiff_t>(end));
    if (!bound.is_none(1) && !longer) part.push_back(bound[1]);
    out.push_back(runtime.list(std::move(part)));
    begin = end;
  }
  return runtime.iterator(std::move(out));
}

Value group_by(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("groupby", arguments, {"attribute", "default", "case_sensitive"}, 1);
  const bool exact_case = bound.flag(runtime, 2, false);
  const Value standard = bound.value(1);
  const auto key_of = [&](const Value& item) { return attribute_path(runtime, item, bound[0], &standard); };
  const auto compared = [&](const Value& item) { return exact_case ? key_of(item) : ignore_case(runtime, key_of(item)); };
  const Values items = iterate(runtime, input);
  Values keys;
  for (const Value& item : items) keys.push_back(compared(item));
  const Values ordered = sorted(runtime, items, keys, false);
  Values groups;
  for (size_t begin = 0; begin < ordered.size();) {
    size_t end = begin + 1;
    while (end < ordered.size() && equal(runtime, compared(ordered[begin]), compared(ordered[end]))) ++end;
    Values members(ordered.begin() + static_cast<std::ptrdiff_t>(begin), ordered.begin() + static_cast<std::ptrdiff_t>(end));
    groups.push_back(runtime.tuple({key_of(ordered[begin]), runtime.list(std::move(members))}));
    groups.back().mutable_as<Sequence>().names = {"grouper", "list"};
    begin = end;
  }
  return runtime.list(std::move(groups));
}

Value attribute_filter(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Bound bound("attr", arguments, {"name"}, 1);
  if (input.is(Type::kDict)) {
    Value method = get_attribute(runtime, input, bound.text(0));
    return method.is(Type::kFunction) && method.as<Function>().name == bound.text(0)
               ? method
               : runtime.undefined("'dict object' has no attribute '" + bound.text(0) + "'");
  }
  return get_attribute(runtime, input, bound.text(0));
}

}  // namespace

const std::vector<NamedFilter>& sequence_filters() {
  static const std::vector<NamedFilter> filters = {
      {"length", length_filter}, {"count", length_filter}, {"list", list_filter},  {"default", default_filter},
      {"d", default_filter},     {"first", first},         {"last", last},         {"reverse", reverse},
      {"join", join_filter},     {"items", items_filter},  {"sort", sort},         {"dictsort", dict_sort},
      {"unique", unique},        {"min", extreme<false>},  {"max", extreme<true>}, {"sum", sum},
      {"batch", batch},          {"slice", slice_filter},  {"groupby", group_by},  {"attr", attribute_filter},
  };
  return filters;
}

}  // namespace graft::text::jinja
