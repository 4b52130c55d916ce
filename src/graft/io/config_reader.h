#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "graft/base/json.h"

namespace graft::io {

/// Typed access to a JSON object such as config.json that remembers which keys were read, so that a key nobody looked at can be
/// reported. A null value counts as absent. Errors are DataErrors of the form
/// `config.json: hidden_size: expected an integer from 1 to 65536, found "x"`. Copies and objects share one memory of what was read.
class ConfigReader {
 public:
  /// `origin` is the file's name for errors. DataError when `json` is not an object.
  explicit ConfigReader(const Json& json, std::string origin);

  /// Present and not null. Counts as reading the key.
  bool has(const std::string& name) const;

  int64_t integer(const std::string& name, int64_t min, int64_t max) const;
  int64_t integer_or(const std::string& name, int64_t default_value, int64_t min, int64_t max) const;
  double number(const std::string& name) const;  ///< an integer is a number too
  double number_or(const std::string& name, double default_value) const;
  bool boolean(const std::string& name) const;
  bool boolean_or(const std::string& name, bool default_value) const;
  std::string string(const std::string& name) const;
  std::string string_or(const std::string& name, const std::string& default_value) const;

  /// A nested object; nothing when absent or null.
  std::optional<ConfigReader> object(const std::string& name) const;
  /// Lists; empty when absent or null. A single value counts as a list of one.
  std::vector<std::string> strings(const std::string& name) const;
  std::vector<int64_t> integers(const std::string& name) const;
  std::vector<double> numbers(const std::string& name) const;

  /// Keys known not to matter: they count as read.
  void ignore(std::initializer_list<const char*> names) const;
  /// Keys (dotted below this object) that nobody read and that are not null, in the file's order.
  std::vector<std::string> unread() const;
  /// All keys of this object.
  std::vector<std::string> keys() const;

  const std::string& origin() const;
  /// "config.json: rope_scaling.factor": the place to name in an error about this key.
  std::string place(const std::string& name) const;
  /// DataError at place(name): "expected …, found …".
  [[noreturn]] void fail(const std::string& name, const std::string& expected) const;

 private:
  struct Shared;
  ConfigReader(std::shared_ptr<Shared> shared, const Json* node, std::string path);
  /// The value, marked as read; null when absent or null.
  const Json* find(const std::string& name) const;
  const Json& require(const std::string& name, const std::string& expected) const;

  std::shared_ptr<Shared> shared_;
  const Json* node_;
  std::string path_;  ///< "" or "rope_scaling."
};

}  // namespace graft::io
