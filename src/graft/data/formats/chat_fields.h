#pragma once

#include <string>

#include "graft/base/json.h"

namespace graft::data {

/// A checked, normalised list of messages: each an object with a string `role`; `content` given as a list of text parts
/// ([{"type": "text", "text" | "value": …}]) becomes one string, since templates print lists as they are. Other keys stay (tool_calls,
/// name, reasoning_content). DataError naming `field[i]` otherwise, or when there is no message.
Json read_message_list(const Json& value, const std::string& field);

/// The keys with which a message says whether it is trained on: OpenAI's weight, LLaMA-Factory's loss_weight, Axolotl's train(ing).
inline constexpr const char* kLossMarks[] = {"weight", "loss_weight", "train", "training"};

/// Whether one of them takes the message out of the loss: 0 or false. 1, true and null leave it in; DataError naming `where` for
/// anything else.
bool marked_untrained(const Json& message, const std::string& where);

/// Tools as a list of objects, also when written as a JSON string; null when `value` is nullptr or an empty string or list.
/// DataError otherwise.
Json read_tools(const Json* value, const std::string& field);

}  // namespace graft::data
