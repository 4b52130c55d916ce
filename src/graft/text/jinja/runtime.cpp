#include "graft/text/jinja/runtime.h"

namespace graft::text::jinja {

Runtime::~Runtime() {
  // Mutable objects may hold borrowed references to one another: none follows them while it is destroyed.
  kept_.clear();
}

void Runtime::charge(uint64_t steps) {
  steps_ += steps;
  if (steps_ > limits_.steps)
    throw Fault("the template takes more than " + std::to_string(limits_.steps) + " steps; does it loop without end?");
}

void Runtime::check_size(size_t bytes) const {
  if (bytes > limits_.output) throw Fault("the template builds a text of more than " + std::to_string(limits_.output >> 20) + " MiB");
}

Value Runtime::string(std::string text) {
  check_size(text.size());
  charge_bytes(text.size());
  return Value(std::make_shared<String>(std::move(text), &meter_));
}

Value Runtime::string(std::string text, bool markup, std::vector<Mark> marks) {
  check_size(text.size());
  charge_bytes(text.size());
  auto made = std::make_shared<String>(std::move(text), &meter_);
  made->markup = markup;
  made->marks = std::move(marks);
  return Value(std::move(made));
}

Value Runtime::sequence(Type kind, Values items) {
  charge_values(items.size());
  return Value(std::make_shared<Sequence>(kind, std::move(items), &meter_));
}

Value Runtime::iterator(Values items) {
  charge_values(items.size());
  return Value(std::make_shared<Iterator>(std::move(items), &meter_));
}

Value Runtime::range(Int start, Int stop, Int step) { return Value(std::make_shared<Range>(start, stop, step, &meter_)); }

Value Runtime::view(const Value& dict, View::Part part) { return Value(std::make_shared<View>(dict, part, &meter_)); }

Value Runtime::undefined(std::string message) { return Value(std::make_shared<Undefined>(std::move(message), &meter_)); }

Value Runtime::function(std::string name, Function::Body body, int depth) {
  if (depth >= 200) throw Fault("functions are nested more than 200 deep");
  auto made = std::make_shared<Function>(std::move(name), std::move(body), &meter_);
  made->depth = depth + 1;
  return Value(std::move(made));
}

}  // namespace graft::text::jinja
