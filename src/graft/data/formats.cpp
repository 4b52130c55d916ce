#include "graft/data/formats.h"

#include <algorithm>

namespace graft::data {

const std::vector<Format>& formats() {
  using enum Format::Template;
  static const std::vector<Format> registry = {
      {"messages", {"messages"}, {"tools"}, kRequired, read_messages},
      {"sharegpt", {"conversations"}, {"system", "tools"}, kRequired, read_sharegpt},
      {"alpaca", {"instruction", "output"}, {"input", "system", "history"}, kOptional, read_alpaca},
      {"prompt_completion", {"prompt", "completion"}, {"tools"}, kOptional, read_prompt_completion},
      {"text", {"text"}, {}, kUnused, read_text},
      {"tokens", {"input_ids"}, {"labels", "attention_mask"}, kUnused, read_tokens},
  };
  return registry;
}

const Format* find_format(std::string_view name) {
  const auto& all = formats();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Format& format) { return format.name == name; });
  return found == all.end() ? nullptr : &*found;
}

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const auto& format : formats()) names.push_back(format.name);
  return names;
}

}  // namespace graft::data
