#include <string>

#include "graft/base/error.h"
#include "graft/text/tokenizer/model.h"
#include "graft/text/tokenizer/unicode.h"

namespace graft::text::tok {
namespace {

/// A vocabulary whose unknown token may be missing until it is needed.
class UnknownToken {
 public:
  UnknownToken(const Field& field, const Vocabulary& vocabulary)
      : place_(field.path() + ".unk_token"), id_(vocabulary.find(field.string("unk_token"))) {}
  int32_t id() const {
    if (!id_) throw DataError("the text has a piece that the vocabulary lacks, and unk_token is not in it either").at(place_);
    return *id_;
  }

 private:
  std::string place_;
  std::optional<int32_t> id_;
};

/// The longest token first, from left to right (BERT); a word that cannot be covered is one unknown token.
class WordPiece : public Model {
 public:
  WordPiece(const Field& field, TokenizerFile* file)
      : vocabulary_(std::move(file->vocabulary)),
        unknown_(field, vocabulary_),
        prefix_(field.string("continuing_subword_prefix")),
        longest_(static_cast<size_t>(field.at("max_input_chars_per_word").integer(0, INT32_MAX))) {
    field.expect_only({"unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab"});
    vocabulary_.for_each([this](std::string_view token, int32_t) { longest_token_ = std::max(longest_token_, token.size()); });
  }
  std::unique_ptr<ModelScratch> make_scratch() const override { return std::make_unique<ModelScratch>(); }
  const Vocabulary& vocabulary() const override { return vocabulary_; }

  void tokenize(std::string_view piece, ModelScratch*, std::vector<ModelToken>* tokens) const override {
    const size_t before = tokens->size();
    if (count_characters(piece) > longest_ || !cover(piece, tokens)) {
      tokens->resize(before);
      tokens->push_back({unknown_.id(), static_cast<uint32_t>(piece.size())});
    }
  }

 private:
  bool cover(std::string_view piece, std::vector<ModelToken>* tokens) const {
    std::string candidate;
    for (size_t begin = 0; begin < piece.size();) {
      size_t end = std::min(piece.size(), begin + longest_token_);
      while (end < piece.size() && end > begin && is_continuation_byte(piece[end])) --end;
      std::optional<int32_t> id;
      for (; end > begin; --end) {
        if (end < piece.size() && is_continuation_byte(piece[end])) continue;
        candidate = begin == 0 ? "" : prefix_;
        candidate.append(piece.substr(begin, end - begin));
        if ((id = vocabulary_.find(candidate))) break;
      }
      if (!id) return false;
      tokens->push_back({*id, static_cast<uint32_t>(end - begin)});
      begin = end;
    }
    return true;
  }

  Vocabulary vocabulary_;
  UnknownToken unknown_;
  std::string prefix_;
  size_t longest_, longest_token_ = 0;
};

/// One token per piece.
class WordLevel : public Model {
 public:
  WordLevel(const Field& field, TokenizerFile* file) : vocabulary_(std::move(file->vocabulary)), unknown_(field, vocabulary_) {
    field.expect_only({"unk_token", "vocab"});
  }
  std::unique_ptr<ModelScratch> make_scratch() const override { return std::make_unique<ModelScratch>(); }
  const Vocabulary& vocabulary() const override { return vocabulary_; }
  void tokenize(std::string_view piece, ModelScratch*, std::vector<ModelToken>* tokens) const override {
    const auto id = vocabulary_.find(piece);
    tokens->push_back({id ? *id : unknown_.id(), static_cast<uint32_t>(piece.size())});
  }

 private:
  Vocabulary vocabulary_;
  UnknownToken unknown_;
};

void need_vocabulary(const Field& field, const TokenizerFile& file) {
  if (!file.has_vocabulary) field.fail("\"vocab\" is missing: an object of tokens and their ids");
}

}  // namespace

std::unique_ptr<const Model> read_word_piece(const Field& field, TokenizerFile* file) {
  need_vocabulary(field, *file);
  return std::make_unique<WordPiece>(field, file);
}

std::unique_ptr<const Model> read_word_level(const Field& field, TokenizerFile* file) {
  need_vocabulary(field, *file);
  return std::make_unique<WordLevel>(field, file);
}

}  // namespace graft::text::tok
