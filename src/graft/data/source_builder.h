#pragma once

#include <filesystem>
#include <vector>

#include "graft/data/dataset.h"
#include "graft/data/token_store.h"

namespace graft::data {

/// Checks what can be checked before a file is read: format and fields are known, the model has what the format needs (tokenizer,
/// template, end-of-sequence), weight and limit make sense. RecipeError / UsageError otherwise.
void check_source(const SourceOptions& source, const DatasetOptions& options, const text::Tokenizer* tokenizer,
                  const text::ChatTemplate* chat_template);

/// Reads, encodes and writes all rows of a source, in file order. DataError at file:line for the first bad row (on_bad_sample: error)
/// or the first over-long one (on_overflow: error).
DatasetStatistics build_source(const SourceOptions& source, const std::vector<std::filesystem::path>& files, const DatasetOptions& options,
                               const text::Tokenizer* tokenizer, const text::ChatTemplate* chat_template, TokenWriter& writer);

}  // namespace graft::data
