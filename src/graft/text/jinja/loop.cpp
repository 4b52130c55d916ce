#include "graft/text/jinja/loop.h"

#include "graft/text/jinja/operators.h"

namespace graft::text::jinja {
namespace {

Value cycle(Runtime&, const Loop& loop, const Arguments& arguments) {
  if (arguments.positional.empty()) throw Fault("no items for cycling given");
  return arguments.positional[loop.index0 % arguments.positional.size()];
}

Value changed(Runtime& runtime, Loop& loop, const Arguments& arguments) {
  bool is_same = loop.has_changed_value && loop.changed_value.size() == arguments.positional.size();
  for (size_t i = 0; is_same && i < arguments.positional.size(); ++i)
    is_same = equal(runtime, loop.changed_value[i], arguments.positional[i]);
  if (is_same) return Value(false);
  loop.has_changed_value = true;
  loop.changed_value = arguments.positional;
  return Value(true);
}

}  // namespace

bool loop_attribute(Runtime& runtime, const Value& self, const std::string& name, Value* result) {
  Loop& loop = self.mutable_as<Loop>();
  const Int index = Int(loop.index0);
  const Int size = Int(loop.items.size());
  if (name == "index") return *result = Value(index + 1), true;
  if (name == "index0") return *result = Value(index), true;
  if (name == "revindex") return *result = Value(size - index), true;
  if (name == "revindex0") return *result = Value(size - index - 1), true;
  if (name == "first") return *result = Value(index == 0), true;
  if (name == "last") return *result = Value(index + 1 >= size), true;
  if (name == "length") return *result = Value(size), true;
  if (name == "depth") return *result = Value(Int{loop.depth0} + 1), true;
  if (name == "depth0") return *result = Value(Int{loop.depth0}), true;
  if (name == "previtem") {
    *result = index == 0 || index > size ? runtime.undefined("there is no previous item") : loop.items[loop.index0 - 1];
    return true;
  }
  if (name == "nextitem") {
    *result = index + 1 >= size ? runtime.undefined("there is no next item") : loop.items[loop.index0 + 1];
    return true;
  }
  if (name == "cycle") {
    *result = runtime.function("cycle", [self](Runtime& inner, Arguments& arguments) { return cycle(inner, self.as<Loop>(), arguments); });
    return true;
  }
  if (name == "changed") {
    *result = runtime.function("changed",
                               [self](Runtime& inner, Arguments& arguments) { return changed(inner, self.mutable_as<Loop>(), arguments); });
    return true;
  }
  return false;
}

}  // namespace graft::text::jinja
