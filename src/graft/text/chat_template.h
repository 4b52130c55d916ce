#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "graft/base/json.h"

namespace graft::text {

/// A span of bytes of the rendered text.
struct Span {
  size_t begin, end;
};

struct Rendered {
  std::string text;
  std::vector<Span> generation;  ///< what {% generation %} blocks produced: the assistant's words
};

/// Values a template sees besides the messages.
struct RenderOptions {
  bool add_generation_prompt = false;
  Json tools;                      ///< null when absent
  Json documents;                  ///< null when absent
  std::string date = "2024-07-26"; ///< YYYY-MM-DD, what strftime_now sees
  Json extra = Json::object();     ///< further variables (enable_thinking, …)
};

/// A Jinja chat template in the dialect of transformers (trim_blocks, lstrip_blocks, sandbox, raise_exception, tojson without
/// HTML escapes, generation blocks, loop controls). Text equals transformers' apply_chat_template(tokenize=False).
/// A template error is a DataError with line and column; raise_exception is a DataError with the template's message.
/// Rendering stops at a step and an output budget instead of looping forever.
class ChatTemplate {
 public:
  /// `special_tokens` holds bos_token, eos_token, … as the template sees them.
  ChatTemplate(std::string_view source, std::map<std::string, std::string> special_tokens, std::string origin = "chat_template");
  /// chat_template.jinja, else tokenizer_config.json's chat_template (a string, or the "default" of a list of named ones;
  /// with several and tools present, "tool_use" as transformers does), with that file's special tokens. DataError when there is none.
  static ChatTemplate load(const std::filesystem::path& model_directory);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  Rendered render(const Json& messages, const RenderOptions& options = {}) const;
  bool has_generation_blocks() const;
  const std::string& source() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace graft::text
