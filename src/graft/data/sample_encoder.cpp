#include "graft/data/sample_encoder.h"

#include <algorithm>

#include "graft/base/error.h"
#include "graft/base/strings.h"
#include "graft/data/formats/chat_fields.h"

namespace graft::data {
namespace {

constexpr int32_t kMasked = -100;
using TrainKind = text::TrainOn::Kind;

bool is_assistant(const Json& message) { return message["role"] == "assistant"; }

Json first_messages(const Json& messages, size_t count) {
  Json first = Json::array();
  for (size_t i = 0; i < count; ++i) first.push_back(messages[i]);
  return first;
}

/// Every token with a byte in the span, as encode_chat trains every token with a byte in a trained one; and those without bytes there.
void mask_span(std::vector<int32_t>& labels, const std::vector<text::Token>& tokens, size_t begin, size_t end) {
  for (size_t t = 0; t < tokens.size(); ++t)
    if (tokens[t].begin < end && (tokens[t].begin >= begin || tokens[t].end > begin)) labels[t] = kMasked;
}

}  // namespace

int64_t count_supervised(const int32_t* labels, size_t length) {
  int64_t count = 0;
  for (size_t t = 1; t < length; ++t) count += labels[t] != kMasked;
  return count;
}

SampleEncoder::SampleEncoder(const DatasetOptions& options, const text::Tokenizer* tokenizer, const text::ChatTemplate* chat_template)
    : options_(options), tokenizer_(tokenizer), chat_template_(chat_template) {}

Encoded SampleEncoder::encode(const Example& example) const {
  return std::visit([this](const auto& kind) { return encode(kind); }, example);
}

Encoded SampleEncoder::encode(const Conversation& chat) const { return encode_messages(chat.messages, chat.tools, 0); }

Encoded SampleEncoder::encode(const ConversationCompletion& chat) const {
  return encode_messages(chat.messages, chat.tools, chat.completion_begin);
}

Encoded SampleEncoder::encode(const TokenRow& row) const { return {row.ids, options_.pretrain ? row.ids : row.labels}; }

Encoded SampleEncoder::encode(const PlainText& text) const {
  Encoded encoded;
  if (text.text.empty()) return encoded;  // an empty line of a text file holds nothing to learn: counted as unsupervised
  encoded.ids = tokenizer_->encode(text.text);
  encoded.labels = encoded.ids;
  append_eos(encoded, true);
  return encoded;
}

Encoded SampleEncoder::encode(const PromptCompletion& text) const {
  const bool prompt_trained = trains("user"), completion_trained = trains("assistant");
  const auto tokens = tokenizer_->encode_with_offsets(text.prompt + text.completion);
  Encoded encoded;
  bool inside = false;  // past the tokens that the post-processor puts in front, which have no place in the text
  for (const auto& token : tokens) {
    inside = inside || token.end > 0;
    const bool added = token.begin == 0 && token.end == 0;
    const bool in_completion = added ? inside : token.begin >= text.prompt.size();
    encoded.ids.push_back(token.id);
    encoded.labels.push_back((in_completion ? completion_trained : prompt_trained) ? token.id : kMasked);
  }
  append_eos(encoded, completion_trained);
  return encoded;
}

Encoded SampleEncoder::encode_messages(const Json& messages, const Json& tools, size_t completion_begin) const {
  text::RenderOptions render;
  render.tools = tools;
  render.date = options_.template_date;
  auto train_on = options_.train_on;
  if (options_.pretrain) train_on.kind = TrainKind::kAll;
  auto chat = text::encode_chat(*tokenizer_, *chat_template_, messages, train_on, render);
  Encoded encoded{std::move(chat.ids), std::move(chat.labels)};
  if (options_.pretrain) return encoded;

  const bool prompt_masked = completion_begin > 0 && train_on.kind != TrainKind::kAll;
  const auto untrained = untrained_turns(messages, prompt_masked ? completion_begin : 0);
  if (untrained.empty() && !prompt_masked) return encoded;

  const std::string whole = chat_template_->render(messages, render).text;
  const auto tokens = tokenizer_->encode_with_offsets(whole, /*add_special=*/false);
  if (tokens.size() != encoded.ids.size()) throw InternalError("a conversation has two different encodings");
  if (prompt_masked)
    mask_span(encoded.labels, tokens, 0, prefix_bytes(messages, completion_begin, is_assistant(messages[completion_begin]), whole, render));
  for (const size_t i : untrained)
    mask_span(encoded.labels, tokens, prefix_bytes(messages, i, is_assistant(messages[i]), whole, render),
              prefix_bytes(messages, i + 1, false, whole, render));
  return encoded;
}

/// The turns from `first` on that would carry labels and are marked not to: where the others lie in the text need not be known.
std::vector<size_t> SampleEncoder::untrained_turns(const Json& messages, size_t first) const {
  std::vector<size_t> turns;
  for (size_t i = 0; i < messages.size(); ++i) {
    const bool marked = marked_untrained(messages[i], "messages[" + std::to_string(i) + "]");
    if (i < first || !trains(messages[i]["role"].get_ref<const std::string&>().c_str())) continue;
    if (options_.train_on.kind == TrainKind::kLastAssistant) turns.clear();  // an earlier turn of the assistant has no labels
    if (marked) turns.push_back(i);
  }
  return turns;
}

/// Where the first `count` messages end in the rendered whole (with the header of the assistant's turn, when that comes next).
size_t SampleEncoder::prefix_bytes(const Json& messages, size_t count, bool next_is_assistant, const std::string& whole,
                                   const text::RenderOptions& options) const {
  if (count == 0) return 0;
  if (count == messages.size()) return whole.size();
  text::RenderOptions prefix_options = options;
  for (const bool header : {true, false}) {
    if (header && !next_is_assistant) continue;
    prefix_options.add_generation_prompt = header;
    const std::string prefix = chat_template_->render(first_messages(messages, count), prefix_options).text;
    if (starts_with(whole, prefix)) return prefix.size();
  }
  throw DataError("the chat template writes the first " + std::to_string(count) +
                  " messages differently when more follow, so what is trained on cannot be told apart")
      .hint("use data.train_on: last-assistant with format messages, or a template that does not rewrite earlier turns");
}

void SampleEncoder::append_eos(Encoded& encoded, bool trained) const {
  if (options_.eos_id < 0)
    throw DataError("the model names no end-of-sequence token, which a text needs at its end")
        .at("tokenizer_config.json")
        .hint("add eos_token to tokenizer_config.json (or eos_token_id to config.json)");
  if (encoded.ids.empty() || encoded.ids.back() != options_.eos_id) {
    encoded.ids.push_back(options_.eos_id);
    encoded.labels.push_back(kMasked);
  }
  if (trained) encoded.labels.back() = options_.eos_id;
}

bool SampleEncoder::trains(const char* role) const {
  if (options_.pretrain || options_.train_on.kind == TrainKind::kAll) return true;
  if (options_.train_on.kind != TrainKind::kRoles) return std::string_view(role) == "assistant";
  const auto& roles = options_.train_on.roles;
  return std::find(roles.begin(), roles.end(), role) != roles.end();
}

}  // namespace graft::data
