#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "graft/text/tokenizer/merges.h"
#include "graft/text/tokenizer/model.h"
#include "graft/text/tokenizer/word_cache.h"

namespace graft::text::tok {

/// SentencePiece's visible space, U+2581.
inline constexpr std::string_view kMarker = "\xE2\x96\x81";

/// Byte-pair encoding with HF's flags: unk_token, fuse_unk, byte_fallback, ignore_merges, continuing_subword_prefix,
/// end_of_word_suffix (dropout must be null or 0: graft's ids are always the same).
class Bpe : public Model {
 public:
  Bpe(const Field& field, TokenizerFile* file, bool raw_bytes);

  std::unique_ptr<ModelScratch> make_scratch() const override { return std::make_unique<Scratch>(); }
  void tokenize(std::string_view piece, ModelScratch* scratch, std::vector<ModelToken>* tokens) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  struct Scratch : ModelScratch {
    WordCache cache;
    MergeScratch merging;
    std::string symbol;
  };

  void read_merges(const Field& field, const MergeList& merges);
  void index_characters();
  void index_raw_words();
  void find_safe_boundaries(const MergeList& merges);

  void tokenize_word(std::string_view word, Scratch* scratch, std::vector<ModelToken>* tokens) const;
  void append_symbols(std::string_view word, Scratch* scratch) const;
  void append_decorated_symbols(std::string_view word, Scratch* scratch) const;
  bool append_byte_tokens(std::string_view symbol, std::vector<ModelToken>* word) const;
  int32_t find_character(char32_t code, std::string_view bytes) const;

  Vocabulary vocabulary_;
  MergeTable merges_;
  std::string prefix_, suffix_;
  static constexpr int32_t kVanishes = -1, kMissing = -2;
  int32_t unknown_ =
      kVanishes;  ///< the id of unk_token; kVanishes: none is set; kMissing: it is not in the vocabulary, an error once needed
  bool fuse_unknown_, byte_fallback_, ignore_merges_, raw_bytes_;

  std::vector<int32_t> characters_;       ///< ids of the single characters below U+10000 (or of the 256 bytes); -1: none
  std::array<int32_t, 256> byte_tokens_;  ///< ids of <0x00> … <0xFF>; -1: none
  Vocabulary raw_words_;                  ///< the vocabulary as bytes, for ignore_merges with raw bytes
  bool split_at_marker_ = false;          ///< a piece may be cut before "▁" where the character before is not in crossing_
  std::vector<std::string> crossing_;
};

}  // namespace graft::text::tok
