#include <algorithm>

#include "graft/base/error.h"
#include "graft/text/tokenizer/bpe.h"
#include "graft/text/tokenizer/unicode.h"

namespace graft::text::tok {

Bpe::Bpe(const Field& field, TokenizerFile* file, bool raw_bytes)
    : prefix_(field.string("continuing_subword_prefix", "")),
      suffix_(field.string("end_of_word_suffix", "")),
      fuse_unknown_(field.boolean("fuse_unk", false)),
      byte_fallback_(field.boolean("byte_fallback", false)),
      ignore_merges_(field.boolean("ignore_merges", false)),
      raw_bytes_(raw_bytes) {
  field.expect_only({"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback",
                     "ignore_merges", "vocab", "merges"});
  if (!file->has_vocabulary) field.fail("\"vocab\" is missing: BPE needs an object of tokens and their ids");
  if (!file->has_merges) field.fail("\"merges\" is missing");
  if (field.has("dropout") && field.at("dropout").number() != 0) {
    throw DataError("dropout is not supported: the same text must always give the same ids")
        .at(field.at("dropout").path())
        .hint("set it to null");
  }
  vocabulary_ = std::move(file->vocabulary);
  if (field.has("unk_token")) unknown_ = vocabulary_.find(field.string("unk_token")).value_or(kMissing);
  read_merges(field, file->merges);
  index_characters();
  if (raw_bytes_ && ignore_merges_) index_raw_words();
  // With ignore_merges a word may be a token that no merge makes, and only the whole piece is looked up so.
  if (!raw_bytes_ && !ignore_merges_ && prefix_.empty() && suffix_.empty()) find_safe_boundaries(file->merges);
  file->merges = MergeList();
}

void Bpe::read_merges(const Field& field, const MergeList& merges) {
  merges_.reserve(merges.size());
  std::string joined;
  for (size_t i = 0; i < merges.size(); ++i) {
    const auto [left, right] = merges[i];
    const auto fail = [&, i = i](const std::string& why) { throw DataError(why).at(field.path() + ".merges[" + std::to_string(i) + "]"); };
    if (right.data() == nullptr) fail("\"" + std::string(left.substr(0, 100)) + "\" is not two tokens with a space between them");
    const auto id = [&, fail](std::string_view token) {
      const auto found = vocabulary_.find(token);
      if (!found) fail("the token \"" + std::string(token.substr(0, 100)) + "\" is not in model.vocab");
      return *found;
    };
    const int32_t left_id = id(left), right_id = id(right);
    if (right.size() < prefix_.size()) fail("the right token is shorter than continuing_subword_prefix");
    joined.assign(left).append(right.substr(prefix_.size()));
    merges_.insert(left_id, right_id, {static_cast<uint32_t>(i), id(joined)});
  }
}

// Two neighbouring characters can only end up in one token when some merge's result has them side by side. So a long piece may be
// cut, without any effect on the ids, before every "▁" whose left neighbour never stands before it inside a merged token: text in
// SentencePiece's style, which nothing else splits, becomes words that the cache knows.
void Bpe::find_safe_boundaries(const MergeList& merges) {
  if (!vocabulary_.find(kMarker)) return;  // it would be unknown or bytes, and could fuse with what stands before
  const auto stands_for_others = [this](std::string_view token) {
    const auto id = vocabulary_.find(token);
    return id && (*id == unknown_ || std::find(byte_tokens_.begin(), byte_tokens_.end(), *id) != byte_tokens_.end());
  };
  for (size_t i = 0; i < merges.size(); ++i) {
    const auto [left, right] = merges[i];
    if ((left.size() == 6 || right.size() == 6 || unknown_ >= 0) && (stands_for_others(left) || stands_for_others(right))) return;
    const std::string joined = std::string(left) + std::string(right);
    for (size_t at = joined.find(kMarker, 1); at != std::string::npos; at = joined.find(kMarker, at + 1)) {
      size_t before = at - 1;
      while (before > 0 && is_continuation_byte(joined[before])) --before;
      std::string character = joined.substr(before, at - before);
      if (std::find(crossing_.begin(), crossing_.end(), character) == crossing_.end()) crossing_.push_back(std::move(character));
      if (crossing_.size() > 64) return;  // a vocabulary that crosses words at will
    }
  }
  split_at_marker_ = true;
}

std::unique_ptr<const Model> read_bpe(const Field& field, TokenizerFile* file, bool raw_bytes) {
  return std::make_unique<Bpe>(field, file, raw_bytes);
}

}  // namespace graft::text::tok
