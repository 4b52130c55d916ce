#include "graft/data/formats/chat_fields.h"

#include "graft/base/error.h"
#include "graft/data/row_view.h"

namespace graft::data {
namespace {

std::string join_text_parts(const Json& parts, const std::string& where) {
  std::string text;
  for (const auto& part : parts) {
    if (part.is_string()) {
      text += part.get_ref<const std::string&>();
      continue;
    }
    if (!part.is_object()) throw DataError(where + " has a part that is " + type_name(part) + ", expected an object with type and text");
    const auto type = part.find("type");
    if (type != part.end() && *type != "text")
      throw DataError(where + " has a part of type " + dump_json(*type) + "; only text can be trained on")
          .hint("leave such rows out, or use on_bad_sample: skip");
    const auto words = part.contains("text") ? part.find("text") : part.find("value");
    if (words == part.end() || !words->is_string()) throw DataError(where + " has a text part without a string \"text\"");
    text += words->get_ref<const std::string&>();
  }
  return text;
}

}  // namespace

Json read_message_list(const Json& value, const std::string& field) {
  if (!value.is_array()) throw DataError("\"" + field + "\" is " + type_name(value) + ", expected a list of messages");
  if (value.empty()) throw DataError("\"" + field + "\" is an empty list");
  Json messages = value;
  for (size_t i = 0; i < messages.size(); ++i) {
    Json& message = messages[i];
    const std::string where = field + "[" + std::to_string(i) + "]";
    if (!message.is_object()) throw DataError(where + " is " + type_name(message) + ", expected an object with role and content");
    const auto role = message.find("role");
    if (role == message.end()) {
      DataError error(where + " has no \"role\"");
      if (message.contains("from") && message.contains("value"))
        error.hint("the messages are written as from/value: set format: sharegpt with fields: {conversations: " + field + "}");
      throw error;
    }
    if (!role->is_string()) throw DataError(where + ".role is " + type_name(*role) + ", expected a string");
    const auto content = message.find("content");
    const bool calls_tools = message.contains("tool_calls") && !message["tool_calls"].is_null();
    if (content == message.end() || content->is_null()) {
      if (!calls_tools) throw DataError(where + " has no \"content\"");
    } else if (content->is_array()) {
      message["content"] = join_text_parts(*content, where + ".content");
    } else if (!content->is_string()) {
      throw DataError(where + ".content is " + type_name(*content) + ", expected a string");
    }
  }
  return messages;
}

bool marked_untrained(const Json& message, const std::string& where) {
  bool untrained = false;
  for (const char* key : kLossMarks) {
    const auto mark = message.find(key);
    if (mark == message.end() || mark->is_null()) continue;
    const bool off = *mark == 0 || *mark == false;
    if (!off && *mark != 1 && *mark != true)
      throw DataError(where + "." + key + " is " + dump_json(*mark) + "; a message counts fully (1 or true) or not at all (0 or false)")
          .hint(std::string("write \"") + key + "\": 0 or 1 (or false or true, without quotes)");
    untrained = untrained || off;
  }
  return untrained;
}

Json read_tools(const Json* value, const std::string& field) {
  if (value == nullptr) return nullptr;
  Json tools = *value;
  if (tools.is_string()) {
    const std::string text = tools.get<std::string>();
    if (text.find_first_not_of(" \t\r\n") == std::string::npos) return nullptr;
    tools = parse_json(text, "\"" + field + "\"");
  }
  if (!tools.is_array()) throw DataError("\"" + field + "\" is " + type_name(tools) + ", expected a list of tools");
  for (size_t i = 0; i < tools.size(); ++i)
    if (!tools[i].is_object())
      throw DataError(field + "[" + std::to_string(i) + "] is " + type_name(tools[i]) + ", expected an object")
          .hint("a tool is written as its JSON schema: {\"type\": \"function\", \"function\": {\"name\": …, \"parameters\": …}}");
  return tools.empty() ? Json(nullptr) : tools;
}

}  // namespace graft::data
