#include <utility>
#include <vector>

#include "graft/base/error.h"
#include "graft/data/formats.h"

namespace graft::data {
namespace {

using Round = std::pair<std::string, std::string>;

std::vector<Round> read_history(const RowView& row) {
  std::vector<Round> rounds;
  const Json* history = row.find("history");
  if (history == nullptr) return rounds;
  const std::string field = row.key("history");
  if (!history->is_array())
    throw DataError("\"" + field + "\" is " + type_name(*history) + ", expected a list of [question, answer] pairs");
  for (size_t i = 0; i < history->size(); ++i) {
    const Json& round = (*history)[i];
    if (!round.is_array() || round.size() != 2 || !round[0].is_string() || !round[1].is_string())
      throw DataError(field + "[" + std::to_string(i) + "] is not a pair of strings [question, answer]");
    rounds.emplace_back(round[0].get<std::string>(), round[1].get<std::string>());
  }
  return rounds;
}

/// The prompt of Stanford Alpaca (train.py, PROMPT_DICT), word for word. Earlier rounds come before it in the same layout.
std::string classic_prompt(const std::string& system, const std::vector<Round>& history, const std::string& instruction,
                           const std::string& input) {
  const std::string intro =
      input.empty() ? "Below is an instruction that describes a task. Write a response that appropriately completes the request."
                    : "Below is an instruction that describes a task, paired with an input that provides further context. "
                      "Write a response that appropriately completes the request.";
  std::string text = (system.empty() ? intro : system) + "\n\n";
  for (const auto& [question, answer] : history) text += "### Instruction:\n" + question + "\n\n### Response:\n" + answer + "\n\n";
  text += "### Instruction:\n" + instruction + "\n\n";
  if (!input.empty()) text += "### Input:\n" + input + "\n\n";
  return text + "### Response:";
}

Json message(const char* role, std::string content) { return {{"role", role}, {"content", std::move(content)}}; }

}  // namespace

// {"instruction": "…", "input": "…"?, "output": "…", "system": "…"?, "history": [["…", "…"], …]?}
// With a chat template: a conversation whose last question is instruction, line break, input. Without one: Alpaca's own prompt.
Example read_alpaca(const RowView& row, const FormatContext& context) {
  const std::string& instruction = row.require_string("instruction");
  const std::string& output = row.require_string("output");
  const std::string input = row.string_or_empty("input"), system = row.string_or_empty("system");
  const auto history = read_history(row);
  if (!context.has_template) return PromptCompletion{classic_prompt(system, history, instruction, input), output};

  Json messages = Json::array();
  if (!system.empty()) messages.push_back(message("system", system));
  for (const auto& [question, answer] : history) {
    messages.push_back(message("user", question));
    messages.push_back(message("assistant", answer));
  }
  messages.push_back(message("user", input.empty() ? instruction : instruction + "\n" + input));
  messages.push_back(message("assistant", output));
  return Conversation{std::move(messages), nullptr};
}

}  // namespace graft::data
