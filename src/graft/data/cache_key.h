#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "graft/data/dataset.h"

namespace graft::data {

/// SHA-256 over everything that determines a source's samples: the files' content and kind, format, fields, limit, tokenizer,
/// template (when the format uses one: its text, the one for tools, the special tokens, and the date when either asks for it), train_on,
/// lengths and policies. Not where the files lie, not the number of workers.
std::string source_key(const SourceOptions& source, const std::vector<std::filesystem::path>& files, const DatasetOptions& options,
                       const text::Tokenizer* tokenizer, const text::ChatTemplate* chat_template);

}  // namespace graft::data
