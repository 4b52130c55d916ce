#pragma once

#include <cstdint>
#include <vector>

#include "graft/data/dataset.h"
#include "graft/data/example.h"

namespace graft::data {

/// Ids and labels of one example, of any length.
struct Encoded {
  std::vector<int32_t> ids, labels;
};

/// Labels that count: not -100 and not the first position, which nothing predicts.
int64_t count_supervised(const int32_t* labels, size_t length);

/// Turns an example into tokens and marks what is trained on. Thread-safe.
///
/// Conversation            rendered by the template, masked by train_on and by the messages' own marks (`weight`, `loss_weight`, `train`
///                         or `training` 0 or false: no token with a byte of that message is trained on)
/// ConversationCompletion  the same, and nothing before the completion begins
/// PromptCompletion        prompt + completion is encoded as one text, so that no token differs from what the model sees at
///                         inference; a token is trained on when it begins in the completion. End-of-sequence is appended and trained.
/// PlainText               all of it trained on, end-of-sequence appended. BOS comes from the tokenizer's post-processor.
/// TokenRow                as it is
///
/// train_on: all (and pretrain) trains prompts too; for prompt + completion, roles: [user] is the prompt, [assistant] the completion.
/// End-of-sequence is not doubled when the text already ends in it. DataError when it is needed and the model has none.
class SampleEncoder {
 public:
  /// Keeps the references.
  SampleEncoder(const DatasetOptions& options, const text::Tokenizer* tokenizer, const text::ChatTemplate* chat_template);
  Encoded encode(const Example& example) const;

 private:
  Encoded encode(const Conversation& chat) const;
  Encoded encode(const ConversationCompletion& chat) const;
  Encoded encode(const PromptCompletion& text) const;
  Encoded encode(const PlainText& text) const;
  Encoded encode(const TokenRow& row) const;

  Encoded encode_messages(const Json& messages, const Json& tools, size_t completion_begin) const;
  std::vector<size_t> untrained_turns(const Json& messages, size_t first) const;
  size_t prefix_bytes(const Json& messages, size_t count, bool next_is_assistant, const std::string& whole,
                      const text::RenderOptions& options) const;
  void append_eos(Encoded& encoded, bool trained) const;
  bool trains(const char* role) const;

  const DatasetOptions& options_;
  const text::Tokenizer* tokenizer_;
  const text::ChatTemplate* chat_template_;
};

}  // namespace graft::data
