#include "graft/base/error.h"
#include "graft/data/formats.h"
#include "graft/data/formats/chat_fields.h"

namespace graft::data {

// {"prompt": "…", "completion": "…"}, or both as lists of messages (then "tools"? too): TRL's prompt-completion rows.
Example read_prompt_completion(const RowView& row, const FormatContext& context) {
  const Json& prompt = row.require("prompt");
  const Json& completion = row.require("completion");
  if (prompt.is_array() != completion.is_array())
    throw DataError("\"" + row.key("prompt") + "\" is " + type_name(prompt) + " and \"" + row.key("completion") + "\" is " +
                    type_name(completion) + "; expected two strings or two lists of messages");
  if (!prompt.is_array()) return PromptCompletion{row.require_string("prompt"), row.require_string("completion")};

  if (!context.has_template)
    throw DataError("the row is made of messages, which needs a chat template, and the model has none")
        .hint("set data.template: chatml, or a file");
  Json messages = read_message_list(prompt, row.key("prompt"));
  const size_t boundary = messages.size();
  for (auto& message : read_message_list(completion, row.key("completion"))) messages.push_back(std::move(message));
  return ConversationCompletion{std::move(messages), boundary, read_tools(row.find("tools"), row.key("tools"))};
}

}  // namespace graft::data
