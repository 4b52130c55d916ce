#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace graft::text::jinja {

/// Wide enough for every integer JSON carries; arithmetic that leaves it is a Fault, never a wrap-around.
__extension__ typedef __int128 Int;

/// An error of the template while it runs. The evaluator adds the place and turns it into a DataError.
class Fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// raise_exception(message): the template refuses the conversation.
class Refusal : public Fault {
 public:
  using Fault::Fault;
};

/// Bytes of a string that a generation block produced.
struct Mark {
  size_t begin, end;
};

enum class Type {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kView,
  kRange,
  kIterator,
  kNamespace,
  kLoop,
  kFunction
};

/// Live bytes of one rendering.
struct Meter {
  size_t live = 0, limit = 0;
};

/// Base of everything a Value refers to. Immutable objects are shared; mutable ones (Namespace, Loop, macros) belong to the
/// Runtime and Values refer to them without owning them, so that no cycle can leak. `depth` bounds every recursion over values.
struct Object {
  Object(Type kind, Meter* bill) : type(kind), meter(bill) {}
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() {
    if (meter != nullptr) meter->live -= bytes;
  }
  Type type;
  Meter* meter;  ///< null for constants of the template, which outlive a rendering
  size_t bytes = 0;
  int depth = 0;
};

struct None {};

/// A value of the template language: Python's semantics, with none and undefined distinct.
class Value {
 public:
  Value() : data_(None{}) {}
  explicit Value(bool boolean) : data_(boolean) {}
  explicit Value(Int integer) : data_(integer) {}
  explicit Value(double number) : data_(number) {}
  explicit Value(std::shared_ptr<Object> object) : data_(std::move(object)) {}
  static Value integer(Int value) { return Value(value); }

  Type type() const;
  bool is(Type type_asked) const { return type() == type_asked; }
  bool boolean() const { return std::get<bool>(data_); }
  Int integer() const { return is(Type::kBool) ? Int{boolean()} : std::get<Int>(data_); }
  double number() const;  ///< of a bool, int or float
  bool is_number() const { return !std::holds_alternative<None>(data_) && !std::holds_alternative<std::shared_ptr<Object>>(data_); }
  bool is_integral() const { return std::holds_alternative<bool>(data_) || std::holds_alternative<Int>(data_); }
  Object* object() const { return std::get<std::shared_ptr<Object>>(data_).get(); }
  const std::shared_ptr<Object>& shared() const { return std::get<std::shared_ptr<Object>>(data_); }
  int depth() const { return std::holds_alternative<std::shared_ptr<Object>>(data_) ? object()->depth : 0; }

  template <class T>
  const T& as() const {
    return *static_cast<const T*>(object());
  }
  template <class T>
  T& mutable_as() const {
    return *static_cast<T*>(object());
  }
  const std::string& text() const;  ///< of a string

 private:
  std::variant<None, bool, Int, double, std::shared_ptr<Object>> data_;
};

using Values = std::vector<Value>;

struct String : Object {
  String(std::string words, Meter* bill);
  std::string text;         ///< UTF-8
  size_t length;            ///< code points
  bool markup = false;      ///< markupsafe.Markup: + escapes the other side
  std::vector<Mark> marks;  ///< ordered
  bool ascii() const { return length == text.size(); }
};

/// list and tuple.
struct Sequence : Object {
  Sequence(Type kind, Values entries, Meter* bill);
  Values items;
  std::vector<std::string_view> names;  ///< of a named tuple: an attribute for each item; string literals
};

/// Insertion-ordered mapping with Python's key equality (1 == 1.0 == true).
struct Dict : Object {
  explicit Dict(Meter* bill) : Object(Type::kDict, bill) {}
  const Value* find(const Value& key) const;  ///< Fault when the key is unhashable
  const Value* find(std::string_view key) const;
  void set(const Value& key, const Value& value);  ///< only while building
  std::vector<std::pair<Value, Value>> items;

 private:
  std::unordered_map<std::string, size_t> index_;
};

/// d.keys(), d.values(), d.items().
struct View : Object {
  enum class Part { kKeys, kValues, kItems };
  View(Value of_dict, Part which, Meter* bill);
  const Dict& dict() const { return owner.as<Dict>(); }
  Value owner;
  Part part;
};

struct Range : Object {
  Range(Int from, Int to, Int by, Meter* bill) : Object(Type::kRange, bill), start(from), stop(to), step(by) {}
  Int size() const;
  Int at(Int place) const { return start + place * step; }
  Int start, stop, step;
};

/// A Python generator: true, without length, consumed by iterating.
struct Iterator : Object {
  Iterator(Values entries, Meter* bill);
  Values items;
  size_t next = 0;
};

struct Namespace : Object {
  explicit Namespace(Meter* bill) : Object(Type::kNamespace, bill) {}
  std::vector<std::pair<std::string, Value>> attributes;
};

/// Using it in an operation is a Fault with `message`.
struct Undefined : Object {
  Undefined(std::string text, Meter* bill) : Object(Type::kUndefined, bill), message(std::move(text)) {}
  std::string message;
};

struct Arguments {
  Values positional;
  std::vector<std::pair<std::string, Value>> keywords;
};

class Runtime;

/// Anything callable: globals, bound methods, macros, callers.
struct Function : Object {
  using Body = std::function<Value(Runtime&, Arguments&)>;
  Function(std::string called, Body does, Meter* bill) : Object(Type::kFunction, bill), name(std::move(called)), body(std::move(does)) {}
  std::string name;
  Body body;
  std::vector<std::pair<std::string, Value>> attributes;  ///< macro.name and the like
};

/// A string constant of the template, in no rendering's bill.
Value constant_string(std::string text);

/// Text that is equal for two keys exactly when Python's hash and == make them one key. Fault for unhashable values.
std::string hash_key(const Value& key);

/// Python's name of the type, for messages.
std::string type_name(const Value& value);

}  // namespace graft::text::jinja
