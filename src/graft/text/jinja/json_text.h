#pragma once

#include <string>

#include "graft/base/json.h"
#include "graft/text/jinja/runtime.h"

namespace graft::text::jinja {

/// json.dumps's options.
struct JsonStyle {
  bool ensure_ascii = false, sort_keys = false;
  bool has_indent = false;
  std::string indent;  ///< of one level
  std::string item_separator = ", ", key_separator = ": ";
};

/// json.dumps(value): Fault "… is not JSON serializable" for what JSON has no form of.
std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style);

/// What a parsed JSON document is to the template.
Value from_json(Runtime& runtime, const Json& json);

}  // namespace graft::text::jinja
