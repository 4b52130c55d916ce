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

/// Renders the conversation once, encodes the text once and marks what is trained on. `ids` equal those of transformers'
/// apply_chat_template: the tokenizer's post-processor does not run (templates write BOS themselves), and the text of a special
/// token inside a message's content becomes that token.
///
/// Trained spans of the text, by `train_on`:
///   kAll            everything
///   kAssistant      with generation blocks: what they produced, and nothing else. Without: every assistant turn, found by prefix
///                   differencing: render(messages[0..i]) minus render(messages[0..i-1], add_generation_prompt). That is the
///                   words, the end-of-turn token and whatever else the template writes for the turn (ChatML's newline behind
///                   <|im_end|>): what trainers that take a prompt and a completion apart train on, too.
///   kLastAssistant  the same, of the last assistant message only
///   kRoles          every turn of the named roles: `assistant` as above, others by prefix differencing from where the turn's
///                   content begins (found by rendering it with two other contents) to the turn's end
///
/// Prefix differencing is exact only where each prefix's text begins the whole text. A template that rewrites earlier turns (drops
/// reasoning, closes a turn differently when another follows) is refused with a DataError that names the message and what to do.
/// When the generation prompt is not how the template begins a finished turn (it opens <think>, say), or cannot be rendered, the
/// turn's begin is found by content as for other roles.
///
/// A token is trained when any of its bytes lies in a trained span, which is transformers' assistant mask: where a tokenizer merges
/// the end of the prompt with the begin of the words (a leading newline), the merged token is trained.
///
/// DataError for messages that are not an array of objects with a string role, for an empty conversation, and for generation
/// blocks whose text a filter changed afterwards. A conversation without a trained message gives labels of -100 only.
EncodedChat encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat_template, const Json& messages, const TrainOn& train_on,
                        const RenderOptions& options = {});

}  // namespace graft::text
