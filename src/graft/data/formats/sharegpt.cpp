#include <map>

#include "graft/base/error.h"
#include "graft/base/strings.h"
#include "graft/data/formats.h"
#include "graft/data/formats/chat_fields.h"

namespace graft::data {
namespace {

/// The names that ShareGPT exports and LLaMA-Factory's files use for who is speaking → the chat template's roles.
const std::map<std::string, std::string>& roles() {
  static const std::map<std::string, std::string> names = {
      {"human", "user"},           {"user", "user"},
      {"gpt", "assistant"},        {"assistant", "assistant"},
      {"chatgpt", "assistant"},    {"bard", "assistant"},
      {"bing", "assistant"},       {"model", "assistant"},
      {"system", "system"},        {"tool", "tool"},
      {"observation", "tool"},     {"function_response", "tool"},
      {"tool_response", "tool"},   {"function_call", "tool_calls"},
      {"tool_call", "tool_calls"},
  };
  return names;
}

/// "function_call": the value is a JSON {"name", "arguments"}, or a list of them.
Json tool_call_message(const std::string& value, const std::string& where) {
  Json calls = parse_json(value, where + ".value");
  if (calls.is_object()) calls = Json::array({calls});
  if (!calls.is_array() || calls.empty())
    throw DataError(where + ".value holds no call: expected {\"name\": …, \"arguments\": …} or a list of them")
        .hint("leave a turn without a call out");
  Json message = {{"role", "assistant"}, {"content", ""}, {"tool_calls", Json::array()}};
  for (const auto& call : calls) {
    if (!call.is_object() || !call.contains("name") || !call["name"].is_string())
      throw DataError(where + ".value is not a call: expected {\"name\": …, \"arguments\": …}");
    message["tool_calls"].push_back({{"type", "function"}, {"function", call}});
  }
  return message;
}

Json read_turn(const Json& turn, const std::string& where) {
  if (!turn.is_object()) throw DataError(where + " is " + type_name(turn) + ", expected an object with from and value");
  for (const char* key : {"from", "value"}) {
    const auto found = turn.find(key);
    if (found == turn.end()) {
      DataError error(where + " has no \"" + key + "\"");
      if (turn.contains("role") && turn.contains("content"))
        error.hint("the turns are written as role/content: set format: messages with fields: {messages: conversations}");
      throw error;
    }
    if (!found->is_string()) throw DataError(where + "." + key + " is " + type_name(*found) + ", expected a string");
  }
  const auto from = turn["from"].get<std::string>();
  const auto role = roles().find(from);
  if (role == roles().end()) {
    std::vector<std::string> known;
    for (const auto& entry : roles()) known.push_back(entry.first);
    throw DataError(where + ".from is \"" + from + "\", expected " + enumerate(known)).nearest(nearest_name(from, known));
  }
  Json message = role->second == "tool_calls" ? tool_call_message(turn["value"].get<std::string>(), where)
                                              : Json{{"role", role->second}, {"content", turn["value"]}};
  for (const char* mark : kLossMarks)
    if (turn.contains(mark)) message[mark] = turn[mark];
  return message;
}

}  // namespace

// {"conversations": [{"from": "human", "value": "…"}, …], "system": "…"?, "tools": "[…]"?}; a turn may carry a loss mark, as messages do.
Example read_sharegpt(const RowView& row, const FormatContext&) {
  const Json& turns = row.require("conversations");
  const std::string field = row.key("conversations");
  if (!turns.is_array()) throw DataError("\"" + field + "\" is " + type_name(turns) + ", expected a list of turns");
  if (turns.empty()) throw DataError("\"" + field + "\" is an empty list");
  Json messages = Json::array();
  if (const std::string system = row.string_or_empty("system"); !system.empty())
    messages.push_back({{"role", "system"}, {"content", system}});
  for (size_t i = 0; i < turns.size(); ++i) messages.push_back(read_turn(turns[i], field + "[" + std::to_string(i) + "]"));
  return Conversation{std::move(messages), read_tools(row.find("tools"), row.key("tools"))};
}

}  // namespace graft::data
