#pragma once

#include <optional>
#include <string>

#include "graft/base/json.h"
#include "graft/text/chat_template.h"

namespace graft::text {

/// Finds a message's bytes in the rendered conversation by prefix differencing. All arguments must outlive it.
class Turns {
 public:
  Turns(const ChatTemplate& chat_template, const Json& messages, const RenderOptions& options, const std::string& whole)
      : template_(chat_template), messages_(messages), options_(options), whole_(whole) {}

  /// From behind the turn's header to its end. DataError `messages[i]` where the differences do not hold.
  Span span_of(size_t message) const;

 private:
  Json prefix(size_t count) const;
  std::string render(const Json& messages, bool with_generation_prompt) const;
  /// render(messages[0..count-1]), empty when the template refuses that prefix.
  std::optional<std::string> render_prefix(size_t count, bool with_generation_prompt) const;
  size_t content_begin(size_t message, const std::string& until) const;
  [[noreturn]] void refuse(size_t message, const std::string& why) const;

  const ChatTemplate& template_;
  const Json& messages_;
  const RenderOptions& options_;
  const std::string& whole_;
};

}  // namespace graft::text
