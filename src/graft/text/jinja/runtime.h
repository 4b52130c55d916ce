#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "graft/text/jinja/value.h"

namespace graft::text::jinja {

/// What one rendering may use. Steps are evaluated nodes, a few per turn of a loop, one per 128 bytes or 4 values that an operation
/// touches.
struct Limits {
  uint64_t steps = 20'000'000;
  size_t output = size_t{64} << 20;  ///< bytes of one string, hence of the text
  size_t memory = size_t{256} << 20;
  int calls = 120;    ///< nested macro and recursive loop calls
  int nesting = 600;  ///< nested evaluations
};

/// The budgets of one rendering and the makers of its values.
class Runtime {
 public:
  explicit Runtime(const Limits& limits) : limits_(limits) { meter_.limit = limits.memory; }
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  void charge(uint64_t steps);
  void charge_bytes(size_t bytes) { charge(1 + bytes / 128); }
  void charge_values(size_t count) { charge(1 + count / 4); }
  /// Fault when a string of that many bytes would pass the output budget: call before building it.
  void check_size(size_t bytes) const;

  Value string(std::string text);
  Value string(std::string text, bool markup, std::vector<Mark> marks);
  Value list(Values items) { return sequence(Type::kList, std::move(items)); }
  Value tuple(Values items) { return sequence(Type::kTuple, std::move(items)); }
  Value iterator(Values items);
  Value range(Int start, Int stop, Int step);
  Value view(const Value& dict, View::Part part);
  Value undefined(std::string message);
  Value function(std::string name, Function::Body body, int depth = 0);
  std::shared_ptr<Dict> dict() { return std::make_shared<Dict>(&meter_); }

  /// An object that lives as long as the rendering; Values refer to it without owning it.
  template <class T, class... Options>
  T* keep(Options&&... options) {
    auto object = std::make_unique<T>(std::forward<Options>(options)...);
    T* raw = object.get();
    meter_.live += sizeof(T) + 64;
    if (meter_.live > meter_.limit) throw Fault("the template holds more than " + std::to_string(meter_.limit >> 20) + " MiB of values");
    kept_.push_back(std::move(object));
    return raw;
  }
  static Value borrowed(Object* object) { return Value(std::shared_ptr<Object>(std::shared_ptr<void>(), object)); }

  const Limits& limits() const { return limits_; }
  Meter* meter() { return &meter_; }
  std::string date = "2024-07-26";  ///< what strftime_now sees

  /// Counts one level of a recursion for as long as it lives; Fault beyond the limit.
  class Level {
   public:
    Level(int& counter, int limit, const char* what) : counter_(counter) {
      if (++counter_ > limit) {
        --counter_;
        throw Fault(std::string(what) + " more than " + std::to_string(limit) + " deep");
      }
    }
    ~Level() { --counter_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    int& counter_;
  };
  int nesting = 0, calls = 0;

 private:
  Value sequence(Type kind, Values items);
  Limits limits_;
  uint64_t steps_ = 0;
  Meter meter_;
  std::vector<std::unique_ptr<Object>> kept_;
};

}  // namespace graft::text::jinja
