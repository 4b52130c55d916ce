#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "graft/text/tokenizer/aligned_text.h"
#include "graft/text/tokenizer/file.h"
#include "graft/text/tokenizer/prefix_index.h"

namespace graft::text::tok {

/// A part of a text: an added token, or what lies between two (id -1).
struct Section {
  Range range;
  int32_t id;
};

/// Tokens that are found in the text before the model sees it: leftmost first, the longest of several. Those with normalized=false
/// are searched in the text as it is, the others, in their normalized form, in the normalized text between them.
class AddedTokens {
 public:
  using Normalize = std::function<std::string(const std::string&)>;

  /// Ids are given as HF gives them: that of the model's vocabulary when the content is there, else the next free one; a file that says
  /// otherwise is warned about. DataError when two entries claim one id or normalize to one text.
  void load(const std::vector<AddedToken>& tokens, const Vocabulary& vocabulary, const Normalize& normalize, const std::string& origin);

  bool searches_normalized() const { return !normalized_.empty(); }
  /// Cuts the text into sections that cover it. They may overlap where a token strips white space that begins another.
  void split_original(std::string_view text, std::vector<Section>* sections) const { split(original_, text, sections); }
  void split_normalized(std::string_view text, std::vector<Section>* sections) const { split(normalized_, text, sections); }

  std::optional<int32_t> find(std::string_view content) const;
  /// nullptr when the id is not that of an added token.
  const AddedToken* token(int32_t id) const;
  /// What decoding sees: the normalized content of a token with normalized=true (as in HF 0.23), else the content.
  const std::string& decoded(int32_t id) const;
  int32_t id_limit() const { return id_limit_; }

 private:
  struct Entry {
    AddedToken token;
    std::string normalized;
  };
  void split(const PrefixIndex& index, std::string_view text, std::vector<Section>* sections) const;
  void build_indices(const std::string& origin);

  std::unordered_map<int32_t, Entry> by_id_;
  std::unordered_map<std::string, int32_t> by_content_;
  PrefixIndex original_, normalized_;
  int32_t id_limit_ = 0;
};

}  // namespace graft::text::tok
