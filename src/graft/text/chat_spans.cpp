#include "graft/text/chat_spans.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "graft/base/error.h"
#include "graft/text/chat_turns.h"

namespace graft::text {
namespace {

std::string place_of(size_t message) { return "messages[" + std::to_string(message) + "]"; }

bool is_assistant(const Json& message) { return message["role"] == "assistant"; }

std::string_view without_white_space_around(std::string_view text) {
  constexpr const char* kWhiteSpace = " \t\r\n";
  const size_t begin = std::min(text.find_first_not_of(kWhiteSpace), text.size());
  return text.substr(begin, text.find_last_not_of(kWhiteSpace) + 1 - begin);
}

bool same(const Span& left, const Span& right) { return left.begin == right.begin && left.end == right.end; }

/// Whether each assistant message has one generation block, with its own words in it: then the n-th block is the n-th message's.
bool has_one_block_each(const Json& messages, const Rendered& whole) {
  size_t blocks = 0;
  for (const Json& message : messages) {
    if (!is_assistant(message)) continue;
    const auto content = message.find("content");
    if (content == message.end() || !content->is_string() || blocks == whole.generation.size()) return false;
    const std::string_view words = without_white_space_around(content->get_ref<const std::string&>());
    const auto [begin, end] = whole.generation[blocks++];
    if (words.empty() || std::string_view(whole.text).substr(begin, end - begin).find(words) == std::string_view::npos) return false;
  }
  return blocks == whole.generation.size();
}

/// The generation blocks of the whole conversation that its first `count` messages make; empty when they are written differently there.
std::optional<size_t> blocks_of_prefix(const ChatTemplate& chat_template, const Json& messages, size_t count, const RenderOptions& options,
                                       const Rendered& whole) {
  if (count == 0) return 0;
  if (count == messages.size()) return whole.generation.size();
  Json prefix = Json::array();
  for (size_t i = 0; i < count; ++i) prefix.push_back(messages[i]);
  RenderOptions plain = options;
  plain.add_generation_prompt = false;
  Rendered part;
  try {
    part = chat_template.render(prefix, plain);
  } catch (const DataError&) {
    return std::nullopt;  // a template may refuse a conversation that ends here
  }
  const auto& blocks = part.generation;
  const size_t written = blocks.empty() ? 0 : blocks.back().end;  // what follows the last block may be the end of a conversation
  const bool holds = blocks.size() <= whole.generation.size() && std::equal(blocks.begin(), blocks.end(), whole.generation.begin(), same) &&
                     whole.text.compare(0, written, part.text, 0, written) == 0;
  return holds ? std::optional(blocks.size()) : std::nullopt;
}

/// Generation spans by message: those that appear when message i is added.
std::vector<Span> generation_of(const ChatTemplate& chat_template, const Json& messages, size_t message, const RenderOptions& options,
                                const Rendered& whole) {
  if (has_one_block_each(messages, whole)) {
    const auto until = messages.begin() + static_cast<std::ptrdiff_t>(message);
    return {whole.generation[static_cast<size_t>(std::count_if(messages.begin(), until, is_assistant))]};
  }
  const auto begin = blocks_of_prefix(chat_template, messages, message, options, whole);
  const auto end = blocks_of_prefix(chat_template, messages, message + 1, options, whole);
  if (!begin || !end) {
    throw DataError("the template's generation blocks do not tell the assistant's turns apart")
        .at(place_of(message))
        .hint("set data.train_on: assistant");
  }
  return {whole.generation.begin() + static_cast<std::ptrdiff_t>(*begin), whole.generation.begin() + static_cast<std::ptrdiff_t>(*end)};
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
