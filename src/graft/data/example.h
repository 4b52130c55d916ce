#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "graft/base/json.h"

namespace graft::data {

/// What one row of a file means, whatever its format was. encode_example (sample_encoder.h) turns each into tokens.

/// A conversation to be rendered by the chat template. Which turns are trained on: train_on.
struct Conversation {
  Json messages;  ///< [{"role", "content", …}, …]
  Json tools;     ///< null when absent
};

/// A conversation whose last part is the answer: only the turns from `completion_begin` on are trained on.
struct ConversationCompletion {
  Json messages;
  size_t completion_begin = 0;  ///< number of prompt messages
  Json tools;
};

/// A prompt, not trained on, and the completion + end-of-sequence, trained on.
struct PromptCompletion {
  std::string prompt, completion;
};

/// A document; all of it is trained on, end-of-sequence included.
struct PlainText {
  std::string text;
};

/// Tokens made elsewhere, taken as they are. labels: -100 or an id, as many as ids.
struct TokenRow {
  std::vector<int32_t> ids, labels;
};

using Example = std::variant<Conversation, ConversationCompletion, PromptCompletion, PlainText, TokenRow>;

}  // namespace graft::data
