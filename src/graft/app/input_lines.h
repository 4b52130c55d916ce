#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "graft/base/json.h"
#include "graft/text/chat_template.h"
#include "graft/text/tokenizer.h"

namespace graft::app {

/// Turns what users give (tokens, text or messages) into ids with a model directory's tokenizer and its template (the adapter's, when
/// that brings one), which are opened on first use: {"tokens":[…]} needs neither.
class Encoder {
 public:
  /// `adapter`: a directory, or "". `date`: what a template's strftime_now sees, YYYY-MM-DD.
  Encoder(std::string model, std::string adapter, std::string date)
      : model_(std::move(model)), adapter_(std::move(adapter)), date_(std::move(date)) {}

  /// {"tokens":[…]} as they are | {"text":…} or {"prompt":…} with the tokenizer's special tokens | {"messages":[…], "tools":[…]?}
  /// through the chat template. DataError at `place` for anything else.
  std::vector<int32_t> encode(const Json& line, bool add_generation_prompt, const std::string& place);
  std::vector<int32_t> encode_text(const std::string& text);
  const text::Tokenizer& tokenizer();

 private:
  std::vector<int32_t> encode_messages(const Json& line, bool add_generation_prompt);

  std::string model_, adapter_, date_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  std::unique_ptr<text::ChatTemplate> template_;
};

}  // namespace graft::app
