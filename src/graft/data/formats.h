#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "graft/data/example.h"
#include "graft/data/row_view.h"

namespace graft::data {

/// What a format may ask about the model.
struct FormatContext {
  bool has_template = false;    ///< a chat template is there
  int64_t vocabulary_size = 0;  ///< upper bound of token ids; 0: unknown
};

/// A way of writing examples as JSON objects: its name in a recipe, the fields it reads, and the function that reads one row.
struct Format {
  enum class Template { kRequired, kOptional, kUnused };  ///< whether it needs the model's chat template

  std::string name;
  std::vector<std::string> required;
  std::vector<std::string> optional;
  Template chat_template;
  /// Throws DataError (without a place) when a field is missing or has the wrong type.
  Example (*read)(const RowView& row, const FormatContext& context);
};

/// The registry: one line per format in formats.cpp, one file per format in formats/.
const std::vector<Format>& formats();
const Format* find_format(std::string_view name);
std::vector<std::string> format_names();

Example read_messages(const RowView& row, const FormatContext& context);
Example read_sharegpt(const RowView& row, const FormatContext& context);
Example read_alpaca(const RowView& row, const FormatContext& context);
Example read_prompt_completion(const RowView& row, const FormatContext& context);
Example read_text(const RowView& row, const FormatContext& context);
Example read_tokens(const RowView& row, const FormatContext& context);

}  // namespace graft::data
