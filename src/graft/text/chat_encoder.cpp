#include "graft/text/chat_encoder.h"

#include "graft/base/error.h"
#include "graft/text/chat_messages.h"
#include "graft/text/chat_spans.h"

namespace graft::text {
namespace {

constexpr int32_t kIgnored = -100;  // torch's cross_entropy leaves these out

/// Labels: a token is trained when its bytes touch a span. Both lists are in order.
std::vector<int32_t> labels_of(const std::vector<Token>& tokens, const std::vector<Span>& spans) {
  std::vector<int32_t> labels;
  labels.reserve(tokens.size());
  size_t at = 0;
  for (const Token& token : tokens) {
    while (at < spans.size() && spans[at].end <= token.begin) ++at;
    const bool is_trained = at < spans.size() && token.begin < token.end && spans[at].begin < token.end;
    labels.push_back(is_trained ? token.id : kIgnored);
  }
  return labels;
}

}  // namespace

EncodedChat encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat_template, const Json& messages, const TrainOn& train_on,
                        const RenderOptions& options) {
  check_messages(messages);
  if (messages.empty()) throw DataError("the conversation has no message").at("messages");
  const TrainedText trained = trained_spans(chat_template, messages, train_on, options);
  const std::vector<Token> tokens = tokenizer.encode_with_offsets(trained.text, /*add_special=*/false);
  EncodedChat encoded;
  encoded.ids.reserve(tokens.size());
  for (const Token& token : tokens) encoded.ids.push_back(token.id);
  if (train_on.kind == TrainOn::Kind::kAll) {
    encoded.labels = encoded.ids;
  } else {
    encoded.labels = labels_of(tokens, trained.spans);
  }
  return encoded;
}

}  // namespace graft::text
