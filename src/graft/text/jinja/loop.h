#pragma once

#include <functional>

#include "graft/text/jinja/value.h"

namespace graft::text::jinja {

/// The `loop` variable of one run of a for statement.
struct Loop : Object {
  Loop(Values entries, int nesting, Meter* bill) : Object(Type::kLoop, bill), items(std::move(entries)), depth0(nesting) {}
  Values items;
  size_t index0 = 0;
  int depth0;
  bool has_changed_value = false;
  Values changed_value;
  std::function<Value(Runtime&, const Value&)> recurse;  ///< empty unless the loop is recursive
};

/// loop.index, loop.cycle and the like; false when there is no such attribute.
bool loop_attribute(Runtime& runtime, const Value& self, const std::string& name, Value* result);

}  // namespace graft::text::jinja
