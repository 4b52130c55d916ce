#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "graft/base/error.h"
#include "graft/data/dataset.h"
#include "graft/text/chat_template.h"
#include "graft/text/tokenizer.h"
#include "support/catch.h"
#include "support/temporary_directory.h"

namespace data_test {

namespace fs = std::filesystem;
using graft::data::Dataset;
using graft::data::DatasetOptions;
using graft::data::SourceOptions;

/// One token a byte: id = byte + 3; 0 <pad>, 1 <s> (put in front by the post-processor), 2 </s>; and one merge, "ab" = 259.
const graft::text::Tokenizer& byte_tokenizer();
constexpr int32_t kBos = 1, kEos = 2, kAb = 259;
/// The ids of a text without specials; knows nothing of the merge.
std::vector<int32_t> bytes(const std::string& text);

/// ChatML without generation blocks: <|im_start|>role\ncontent<|im_end|>\n
const graft::text::ChatTemplate& chatml();

/// Options for one file.
inline DatasetOptions options_for(const std::string& path, const std::string& format) {
  DatasetOptions options;
  SourceOptions source;
  source.path = path;
  source.format = format;
  options.sources = {source};
  options.eos_id = kEos;
  return options;
}

inline Dataset build(const DatasetOptions& options) { return Dataset::build(options, &byte_tokenizer(), &chatml()); }

/// JSON Lines of format tokens: sample i has lengths[i] tokens, 100 * i + t at t (mod a million), all trained on.
std::string token_lines(const std::vector<int64_t>& lengths);

/// What an expression throws, as its exit code and whole block.
struct Failure {
  int code = 0;
  std::string where, block;
};
template <class Call>
Failure failure_of(Call&& call) {
  try {
    call();
  } catch (const graft::Error& error) {
    return {static_cast<int>(error.code()), error.where(), error.what()};
  }
  return {};
}

}  // namespace data_test
