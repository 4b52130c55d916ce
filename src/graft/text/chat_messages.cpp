#include "graft/text/chat_messages.h"

#include <string>

#include "graft/base/error.h"

namespace graft::text {
namespace {

/// {"thinking": reasoning, **message, "reasoning_content": reasoning}, as transformers builds it.
Json with_reasoning(const Json& message) {
  for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
    const auto found = message.find(name);
    if (found == message.end()) continue;
    Json filled = {{"thinking", *found}};
    for (const auto& [key, value] : message.items()) filled[key] = value;
    filled["reasoning_content"] = *found;
    return filled;
  }
  return message;
}

}  // namespace

void check_messages(const Json& messages) {
  const std::string hint = R"(a conversation is [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}])";
  if (!messages.is_array())
    throw DataError(std::string("messages must be an array, not ") + messages.type_name()).at("messages").hint(hint);
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string place = "messages[" + std::to_string(i) + "]";
    if (!messages[i].is_object())
      throw DataError(std::string("a message must be an object, not ") + messages[i].type_name()).at(place).hint(hint);
    const auto role = messages[i].find("role");
    if (role == messages[i].end()) throw DataError("the message has no role").at(place).hint(hint);
    if (!role->is_string())
      throw DataError(std::string("the role must be a string, not ") + role->type_name()).at(place + ".role").hint(hint);
  }
}

Json plain_messages(const Json& messages) {
  Json plain = Json::array();
  for (const Json& message : messages) {
    Json kept = Json::object();
    for (const auto& [key, value] : message.items()) {
      if (!value.is_null()) kept[key] = value;
    }
    plain.push_back(with_reasoning(kept));
  }
  return plain;
}

}  // namespace graft::text
