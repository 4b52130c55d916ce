#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graft/base/json.h"
#include "graft/text/chat_template.h"
#include "graft/text/tokenizer.h"

namespace graft::text {

/// Which tokens of a conversation carry loss (recipe key data.train_on).
struct TrainOn {
  enum class Kind { kAssistant, kLastAssistant, kAll, kRoles };
  Kind kind = Kind::kAssistant;
  std::vector<std::string> roles;  ///< for kRoles
};

struct EncodedChat {
  std::vector<int32_t> ids;
  std::vector<int32_t> labels;  ///< the id where trained on, -100 elsewhere; not shifted
};

/// Renders the conversation and marks what is trained on: generation blocks when the template has them, else by rendering the
/// prefixes messages[0..i] and taking the difference; a template whose prefixes are not prefixes of the whole (it rewrites
/// earlier turns) is refused with a DataError that says which message and what to do. A trained turn includes its end-of-turn
/// token(s). The text is encoded once, without the post-processor (templates write BOS themselves); a token is trained when it
/// begins inside a trained span. A span boundary inside a token is a DataError.
EncodedChat encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat_template, const Json& messages, const TrainOn& train_on,
                        const RenderOptions& options = {});

}  // namespace graft::text
