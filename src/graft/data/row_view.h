#pragma once

#include <map>
#include <string>
#include <vector>

#include "graft/base/json.h"

namespace graft::data {

struct Format;

/// One JSON object of a file, seen through the format's field names: `fields` says which key of the file a field is under
/// ({prompt: question}); a field it does not name has its own name. Keys that no field reads are ignored: rows carry ids and metadata.
/// A field that is null counts as absent.
class RowView {
 public:
  /// Keeps references: the object, the format and the map must outlive the view. DataError when `row` is not an object.
  RowView(const Json& row, const Format& format, const std::map<std::string, std::string>& fields);

  /// The value, or nullptr when absent or null.
  const Json* find(const std::string& field) const;
  /// The value; DataError that lists the keys found, what is expected and the format that would fit, when absent.
  const Json& require(const std::string& field) const;
  /// require + DataError naming the field and the type found when it is not a string.
  const std::string& require_string(const std::string& field) const;
  /// "" when absent.
  std::string string_or_empty(const std::string& field) const;
  /// The key the field has in the file, for messages.
  std::string key(const std::string& field) const;

 private:
  const Json& row_;
  const Format& format_;
  const std::map<std::string, std::string>& fields_;
};

/// "a string", "an array", … : how a message names a JSON type.
std::string type_name(const Json& value);

}  // namespace graft::data
