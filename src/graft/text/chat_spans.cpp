#include "graft/text/chat_spans.h"

#include <algorithm>
#include <optional>

#include "graft/base/error.h"
#include "graft/text/chat_turns.h"

namespace graft::text {
namespace {

std::string place_of(size_t message) { return "messages[" + std::to_string(message) + "]"; }

bool is_assistant(const Json& message) { return message["role"] == "assistant"; }

/// Generation spans by message: those that appear when message i is added.
std::vector<Span> generation_of(const ChatTemplate& chat_template, const Json& messages, size_t message, const RenderOptions& options,
                                const Rendered& whole) {
  size_t assistants = 0, ordinal = 0;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (!is_assistant(messages[i])) continue;
    if (i == message) ordinal = assistants;
    ++assistants;
  }
  if (whole.generation.size() == assistants) return {whole.generation[ordinal]};
  const auto spans_of_prefix = [&](size_t count) {
    if (count == messages.size()) return whole.generation.size();
    Json prefix = Json::array();
    for (size_t i = 0; i < count; ++i) prefix.push_back(messages[i]);
    RenderOptions plain = options;
    plain.add_generation_prompt = false;
    return chat_template.render(prefix, plain).generation.size();
  };
  const size_t begin = message == 0 ? 0 : spans_of_prefix(message);
  const size_t end = spans_of_prefix(message + 1);
  if (begin > end || end > whole.generation.size()) {
    throw DataError("the template's generation blocks do not tell the assistant's turns apart")
        .at(place_of(message))
        .hint("set data.train_on: assistant");
  }
  return {whole.generation.begin() + static_cast<std::ptrdiff_t>(begin), whole.generation.begin() + static_cast<std::ptrdiff_t>(end)};
}

std::vector<size_t> trained_messages(const Json& messages, const TrainOn& train_on) {
  std::vector<size_t> trained;
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string& role = messages[i]["role"].get_ref<const std::string&>();
    const bool is_asked = train_on.kind == TrainOn::Kind::kRoles
                              ? std::find(train_on.roles.begin(), train_on.roles.end(), role) != train_on.roles.end()
                              : role == "assistant";
    if (is_asked) trained.push_back(i);
  }
  if (train_on.kind == TrainOn::Kind::kLastAssistant && trained.size() > 1) trained = {trained.back()};
  return trained;
}

/// The spans in order, overlapping ones merged.
std::vector<Span> merged(std::vector<Span> spans) {
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) { return a.begin < b.begin; });
  std::vector<Span> out;
  for (const Span& span : spans) {
    if (span.begin >= span.end) continue;
    if (!out.empty() && span.begin <= out.back().end) {
      out.back().end = std::max(out.back().end, span.end);
    } else {
      out.push_back(span);
    }
  }
  return out;
}

}  // namespace

TrainedText trained_spans(const ChatTemplate& chat_template, const Json& messages, const TrainOn& train_on, const RenderOptions& options) {
  Rendered whole = chat_template.render(messages, options);
  if (train_on.kind == TrainOn::Kind::kAll) {
    const size_t size = whole.text.size();
    return {std::move(whole.text), {{0, size}}};
  }
  const bool by_blocks = chat_template.has_generation_blocks(options);
  if (by_blocks && whole.generation_lost) {
    throw DataError(
        "the template changes the text of its generation blocks afterwards, so that the assistant's words can not be found in it")
        .at("data.template")
        .hint("put {% generation %} where the text is written, not inside a value that a filter or method changes");
  }
  std::vector<Span> spans;
  if (by_blocks && train_on.kind == TrainOn::Kind::kAssistant) {
    spans = whole.generation;
  } else {
    const Turns turns(chat_template, messages, options, whole.text);
    for (const size_t i : trained_messages(messages, train_on)) {
      if (by_blocks && is_assistant(messages[i])) {
        for (const Span& span : generation_of(chat_template, messages, i, options, whole)) spans.push_back(span);
      } else {
        spans.push_back(turns.span_of(i));
      }
    }
  }
  return {std::move(whole.text), merged(std::move(spans))};
}

}  // namespace graft::text
