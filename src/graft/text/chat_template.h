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
  std::vector<Span> generation;  ///< what {% generation %} blocks produced, in order: the assistant's words
  /// True when a filter or method changed the text of a generation block afterwards (say `{{ macro() | trim }}`), so that
  /// `generation` does not hold all of them. Text is right all the same.
  bool generation_lost = false;
};

/// Values a template sees besides the messages.
struct RenderOptions {
  bool add_generation_prompt = false;
  Json tools;                       ///< JSON schemas; null when absent
  Json documents;                   ///< null when absent
  std::string date = "2024-07-26";  ///< YYYY-MM-DD, what strftime_now sees (midnight)
  Json extra = Json::object();      ///< further variables (enable_thinking, …)
};

/// The built-in ChatML template, with generation blocks around each assistant turn's words and its <|im_end|>.
std::string_view chatml_template();

/// The named special tokens (bos_token, eos_token, unk_token, sep_token, pad_token, cls_token, mask_token) of a model directory
/// as transformers' tokenizers hand them to templates: special_tokens_map.json (unless tokenizer_config.json has an
/// added_tokens_decoder), else tokenizer_config.json, else the default of its tokenizer_class. A value is a string or
/// {"content": …}; null means none. Empty when neither file is there.
/// The model's own ones besides: the entries of extra_special_tokens (when it is an object) and model_specific_special_tokens, and other
/// top-level keys that end in _token.
std::map<std::string, std::string> special_tokens_of(const std::filesystem::path& model_directory, bool with_class_defaults = true);

/// Whether ChatTemplate::load finds a template there. A chat_template that is null is none. DataError for files that cannot be read.
bool has_chat_template(const std::filesystem::path& model_directory);
/// Whether `source` is the text of the template that the model is used with when there are no tools.
bool is_default_template(const std::filesystem::path& model_directory, std::string_view source);

/// A Jinja chat template in the dialect of transformers 5 (trim_blocks, lstrip_blocks, immutable sandbox, raise_exception,
/// strftime_now, tojson without HTML escapes, generation blocks, loop controls). Text equals that of transformers'
/// apply_chat_template(tokenize=False): message keys whose value is null are left out, reasoning_content / thinking / reasoning
/// are filled from one another.
/// A template error is a DataError with `origin:line:column`; raise_exception is a DataError with the template's message.
/// Rendering stops at budgets (20 million steps, 64 MiB of text, 256 MiB of values, nesting) instead of looping for ever.
/// Not supported, each a DataError: include, import, extends, autoescape, the filters random, pprint, urlize, wordwrap, striptags,
/// the str methods encode and translate, printing a generator or a function.
/// Thread-safe after construction.
class ChatTemplate {
 public:
  /// `special_tokens` holds bos_token, eos_token, … as the template sees them.
  ChatTemplate(std::string_view source, std::map<std::string, std::string> special_tokens, const std::string& origin = "chat_template");
  /// chat_template.jinja, else tokenizer_config.json's chat_template (a string, or the "default" of a list of named ones;
  /// with several and tools present, "tool_use" as transformers does), else chat_template.json's, with that directory's special tokens.
  /// DataError when there is none.
  static ChatTemplate load(const std::filesystem::path& model_directory);
  /// One template file.
  static ChatTemplate load_file(const std::filesystem::path& path, std::map<std::string, std::string> special_tokens);
  /// The template file of an adapter for this model. Where it is the model's own default, the model's template for tools belongs to it.
  static ChatTemplate load_for(const std::filesystem::path& model_directory, const std::filesystem::path& path);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  /// `messages` must be an array of objects with a string `role`; otherwise DataError. An empty array is the template's affair.
  Rendered render(const Json& messages, const RenderOptions& options = {}) const;
  /// Of the template that render(…, options) uses.
  bool has_generation_blocks(const RenderOptions& options = {}) const;
  /// Of the template that is used when there are no tools.
  const std::string& source() const;
  /// SHA-256 of all that determines what is rendered besides the arguments: both templates' text and the special tokens.
  std::string hash() const;
  /// Whether a template asks for the date (strftime_now).
  bool uses_date() const;

 private:
  void set_tool_template(std::string_view source, const std::string& origin);
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace graft::text
