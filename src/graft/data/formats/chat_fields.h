#pragma once

#include <string>

#include "graft/base/json.h"

namespace graft::data {

/// A checked, normalised list of messages: each an object with a string `role`; `content` given as a list of text parts
/// ([{"type": "text", "text" | "value": …}]) becomes one string, since templates print lists as they are. Other keys stay (tool_calls,
/// name, reasoning_content). DataError naming `field[i]` otherwise, or when there is no message.
Json read_message_list(const Json& value, const std::string& field);

/// Tools as a list, also when written as a JSON string; null when `value` is nullptr or an empty string or list.
Json read_tools(const Json* value, const std::string& field);

}  // namespace graft::data
