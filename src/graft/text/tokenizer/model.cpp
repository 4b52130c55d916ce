#include "graft/text/tokenizer/model.h"

namespace graft::text::tok {
namespace {

enum class Type { kBpe, kUnigram, kWordPiece, kWordLevel };

/// Files of before 2020 have no "type"; the members tell.
Type read_type(const Field& field, const TokenizerFile& file) {
  if (field.has("type")) return static_cast<Type>(field.at("type").choice("model", {"BPE", "Unigram", "WordPiece", "WordLevel"}));
  if (file.has_merges) return Type::kBpe;
  if (file.has_scored) return Type::kUnigram;
  return field.has("max_input_chars_per_word") ? Type::kWordPiece : Type::kWordLevel;
}

}  // namespace

bool can_read_raw_bytes(const Field& field, const TokenizerFile& file) {
  // Where the characters of the alphabet themselves matter, the model must see them.
  return read_type(field, file) == Type::kBpe && !field.boolean("byte_fallback", false) &&
         field.string("continuing_subword_prefix", "").empty() && field.string("end_of_word_suffix", "").empty();
}

std::unique_ptr<const Model> read_model(const Field& field, TokenizerFile* file, bool raw_bytes) {
  switch (read_type(field, *file)) {
    case Type::kBpe:
      return read_bpe(field, file, raw_bytes);
    case Type::kUnigram:
      return read_unigram(field, file);
    case Type::kWordPiece:
      return read_word_piece(field, file);
    default:
      return read_word_level(field, file);
  }
}

}  // namespace graft::text::tok
