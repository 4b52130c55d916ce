#include "graft/text/chat_turns.h"

#include <algorithm>

#include "graft/base/error.h"
#include "graft/base/strings.h"

namespace graft::text {
namespace {

/// Contents that begin and end differently, have no white space at their ends and occur in no conversation by chance.
constexpr const char* kProbes[] = {"Xq7graft-probe-A7qX", "Zk3graft-probe-B3kZ"};

size_t common_prefix(const std::string& left, const std::string& right) {
  const size_t size = std::min(left.size(), right.size());
  return static_cast<size_t>(std::mismatch(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(size), right.begin()).first -
                             left.begin());
}

}  // namespace

void Turns::refuse(size_t message, const std::string& why) const {
  const std::string role = messages_[message]["role"].get<std::string>();
  const std::string place = "messages[" + std::to_string(message) + "]";
  throw DataError("which tokens belong to the " + role + "'s turn can not be told exactly: " + why)
      .at(place)
      .hint("set data.train_on: last-assistant, or data.template: file:PATH with {% generation %} blocks around the assistant's words");
}

Json Turns::prefix(size_t count) const {
  Json part = Json::array();
  for (size_t i = 0; i < count; ++i) part.push_back(messages_[i]);
  return part;
}

std::string Turns::render(const Json& messages, bool with_generation_prompt) const {
  RenderOptions options = options_;
  options.add_generation_prompt = with_generation_prompt;
  return template_.render(messages, options).text;
}

std::optional<std::string> Turns::render_prefix(size_t count, bool with_generation_prompt) const {
  try {
    return render(prefix(count), with_generation_prompt);
  } catch (const DataError&) {
    return std::nullopt;  // a template may refuse a conversation that ends here
  }
}

Span Turns::span_of(size_t message) const {
  std::string until;
  if (message + 1 == messages_.size() && !options_.add_generation_prompt) {
    until = whole_;
  } else {
    const auto rendered = render_prefix(message + 1, false);
    if (!rendered) refuse(message, "the template refuses the conversation up to this message");
    until = *rendered;
  }
  if (!starts_with(whole_, until)) {
    refuse(message, "the template writes this message or an earlier one differently when more messages follow");
  }
  if (messages_[message]["role"] == "assistant") {
    const auto before = render_prefix(message, true);
    if (before && starts_with(until, *before)) return {before->size(), until.size()};
  }
  return {content_begin(message, until), until.size()};
}

size_t Turns::content_begin(size_t message, const std::string& until) const {
  std::string probed[2];
  for (size_t i = 0; i < 2; ++i) {
    Json changed = prefix(message + 1);
    changed[message]["content"] = kProbes[i];
    try {
      probed[i] = render(changed, false);
    } catch (const DataError&) {
      refuse(message, "the template refuses another content of it");
    }
    if (probed[i].find(kProbes[i]) == std::string::npos) refuse(message, "the template does not write its content as it is");
  }
  const size_t begin = common_prefix(probed[0], probed[1]);
  const bool at_content = probed[0].compare(begin, std::string(kProbes[0]).size(), kProbes[0]) == 0;
  if (!at_content || !starts_with(until, probed[0].substr(0, begin))) {
    refuse(message, "what the template writes before its content depends on the content");
  }
  if (const auto before = render_prefix(message, false); before && begin < before->size() && starts_with(until, *before)) {
    refuse(message, "the template writes its content among the earlier messages");
  }
  return begin;
}

}  // namespace graft::text
