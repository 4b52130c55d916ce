#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "graft/base/json.h"
#include "graft/text/tokenizer/vocabulary.h"

namespace graft::text::tok {

/// An entry of "added_tokens". Flags as in HF's AddedToken.
struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool single_word = false, lstrip = false, rstrip = false, normalized = false, special = false;
};

/// The merges as written, in one block: [left, right] pairs or "left right" strings.
class MergeList {
 public:
  void add_line(std::string_view line);
  void add_pair(std::string_view left, std::string_view right);
  size_t size() const { return entries_.size(); }
  /// Both halves; the right one has data() == nullptr when a line did not consist of two words.
  std::pair<std::string_view, std::string_view> operator[](size_t i) const;

 private:
  struct Entry {
    uint32_t offset, left, right;
  };
  static constexpr uint32_t kMalformed = ~0U;
  std::string bytes_;
  std::vector<Entry> entries_;
};

/// tokenizer.json, read in one pass. The large parts go straight into their own structures (a DOM of 300 k strings would cost
/// more time and memory than everything else); `components` is the rest, with null in their place.
struct TokenizerFile {
  std::string origin;  ///< how errors name the file
  Json components;
  Vocabulary vocabulary;                               ///< model.vocab as an object
  std::vector<std::pair<std::string, double>> scored;  ///< model.vocab as a list of [token, score] (Unigram)
  MergeList merges;                                    ///< model.merges
  std::vector<AddedToken> added_tokens;
  bool has_vocabulary = false, has_scored = false, has_merges = false;
};

/// Largest id that a file may name; more would only be an attempt to make tables of absurd size.
constexpr int64_t kLargestId = (1 << 24) - 1;

/// DataError with line and column for what is not JSON, with the JSON path for what is not a tokenizer.json: wrong types, ids that
/// are negative, too large or used twice, tokens or members that occur twice.
TokenizerFile read_tokenizer_file(std::string_view text, const std::string& origin);

}  // namespace graft::text::tok
