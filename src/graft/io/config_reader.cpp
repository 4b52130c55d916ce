#include "graft/io/config_reader.h"

#include <limits>
#include <set>

#include "graft/base/error.h"
#include "graft/base/strings.h"

namespace graft::io {
namespace {

std::string found(const Json& value) {
  const std::string text = dump_json(value);
  return text.size() > 60 ? text.substr(0, 57) + "…" : text;
}

std::string integer_range(int64_t min, int64_t max) {
  if (min == 1 && max == std::numeric_limits<int64_t>::max()) return "a positive integer";
  return "an integer from " + std::to_string(min) + " to " + std::to_string(max);
}

std::optional<int64_t> as_integer(const Json& value) {
  if (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  if (!value.is_number_integer()) return std::nullopt;
  return value.get<int64_t>();
}

}  // namespace

struct ConfigReader::Shared {
  Json root;
  std::string origin;
  std::set<std::string> read;    ///< dotted paths
  std::set<std::string> opened;  ///< objects whose keys are tracked one by one
};

ConfigReader::ConfigReader(const Json& json, std::string origin) : shared_(std::make_shared<Shared>()) {
  shared_->root = json;
  shared_->origin = std::move(origin);
  node_ = &shared_->root;
  if (!json.is_object()) throw DataError("expected a JSON object, found " + found(json)).at(shared_->origin);
}

ConfigReader::ConfigReader(std::shared_ptr<Shared> shared, const Json* node, std::string path)
    : shared_(std::move(shared)), node_(node), path_(std::move(path)) {}

const Json* ConfigReader::find(const std::string& name) const {
  shared_->read.insert(path_ + name);
  const auto item = node_->find(name);
  return item == node_->end() || item->is_null() ? nullptr : &*item;
}

const std::string& ConfigReader::origin() const { return shared_->origin; }

std::string ConfigReader::place(const std::string& name) const { return shared_->origin + ": " + path_ + name; }

void ConfigReader::fail(const std::string& name, const std::string& expected) const {
  const Json* value = find(name);
  DataError error(place(name) + ": expected " + expected + ", found " + (value != nullptr ? found(*value) : "nothing"));
  if (value == nullptr) error.nearest(nearest_name(name, unread()));
  error.hint(value == nullptr ? "add the key; is this the right kind of file?" : "correct the value");
  throw error;
}

const Json& ConfigReader::require(const std::string& name, const std::string& expected) const {
  const Json* value = find(name);
  if (value == nullptr) fail(name, expected);
  return *value;
}

bool ConfigReader::has(const std::string& name) const { return find(name) != nullptr; }

int64_t ConfigReader::integer(const std::string& name, int64_t min, int64_t max) const {
  const auto value = as_integer(require(name, integer_range(min, max)));
  if (!value || *value < min || *value > max) fail(name, integer_range(min, max));
  return *value;
}

int64_t ConfigReader::integer_or(const std::string& name, int64_t default_value, int64_t min, int64_t max) const {
  return find(name) == nullptr ? default_value : integer(name, min, max);
}

double ConfigReader::number(const std::string& name) const {
  const Json& value = require(name, "a number");
  if (!value.is_number()) fail(name, "a number");
  return value.get<double>();
}

double ConfigReader::number_or(const std::string& name, double default_value) const {
  return find(name) == nullptr ? default_value : number(name);
}

bool ConfigReader::boolean(const std::string& name) const {
  const Json& value = require(name, "true or false");
  if (!value.is_boolean()) fail(name, "true or false");
  return value.get<bool>();
}

bool ConfigReader::boolean_or(const std::string& name, bool default_value) const {
  return find(name) == nullptr ? default_value : boolean(name);
}

std::string ConfigReader::string(const std::string& name) const {
  const Json& value = require(name, "a string");
  if (!value.is_string()) fail(name, "a string");
  return value.get<std::string>();
}

std::string ConfigReader::string_or(const std::string& name, const std::string& default_value) const {
  return find(name) == nullptr ? default_value : string(name);
}

std::optional<ConfigReader> ConfigReader::object(const std::string& name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) fail(name, "an object");
  shared_->opened.insert(path_ + name);
  return ConfigReader(shared_, value, path_ + name + ".");
}

std::vector<std::string> ConfigReader::strings(const std::string& name) const {
  const Json* value = find(name);
  if (value == nullptr) return {};
  if (value->is_string()) return {value->get<std::string>()};
  if (!value->is_array()) fail(name, "a list of strings");
  std::vector<std::string> list;
  for (const auto& item : *value) {
    if (!item.is_string()) fail(name, "a list of strings");
    list.push_back(item.get<std::string>());
  }
  return list;
}

std::vector<int64_t> ConfigReader::integers(const std::string& name) const {
  const Json* value = find(name);
  if (value == nullptr) return {};
  std::vector<int64_t> list;
  const auto append = [&](const Json& item) {
    const auto integer = as_integer(item);
    if (!integer) fail(name, "an integer or a list of integers");
    list.push_back(*integer);
  };
  if (value->is_array())
    for (const auto& item : *value) append(item);
  else
    append(*value);
  return list;
}

std::vector<double> ConfigReader::numbers(const std::string& name) const {
  const Json* value = find(name);
  if (value == nullptr) return {};
  std::vector<double> list;
  const auto append = [&](const Json& item) {
    if (!item.is_number()) fail(name, "a number or a list of numbers");
    list.push_back(item.get<double>());
  };
  if (value->is_array())
    for (const auto& item : *value) append(item);
  else
    append(*value);
  return list;
}

void ConfigReader::ignore(std::initializer_list<const char*> names) const {
  for (const char* name : names) shared_->read.insert(path_ + name);
}

std::vector<std::string> ConfigReader::unread() const {
  std::vector<std::string> names;
  for (const auto& [key, value] : node_->items()) {
    const std::string path = path_ + key;
    if (shared_->opened.count(path) != 0 && value.is_object()) {
      for (const auto& below : ConfigReader(shared_, &value, path + ".").unread()) names.push_back(key + "." + below);
    } else if (shared_->read.count(path) == 0 && !value.is_null()) {
      names.push_back(key);
    }
  }
  return names;
}

std::vector<std::string> ConfigReader::keys() const {
  std::vector<std::string> names;
  for (const auto& [key, value] : node_->items()) names.push_back(key);
  return names;
}

}  // namespace graft::io
