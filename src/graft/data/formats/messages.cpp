#include "graft/data/formats.h"
#include "graft/data/formats/chat_fields.h"

namespace graft::data {

// {"messages": [{"role": "user", "content": "…"}, …], "tools": […]?}: what chat APIs and transformers use.
Example read_messages(const RowView& row, const FormatContext&) {
  return Conversation{read_message_list(row.require("messages"), row.key("messages")), read_tools(row.find("tools"), row.key("tools"))};
}

}  // namespace graft::data
