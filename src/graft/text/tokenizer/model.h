#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "graft/text/tokenizer/field.h"
#include "graft/text/tokenizer/file.h"
#include "graft/text/tokenizer/vocabulary.h"

namespace graft::text::tok {

/// A token of a piece: its id and how many bytes of the piece it stands for (0 for all but one of several that share bytes).
struct ModelToken {
  int32_t id;
  uint32_t size;
};

/// Memory that encoding needs, kept from one text to the next. Belongs to one call at a time.
class ModelScratch {
 public:
  virtual ~ModelScratch() = default;
};

/// Turns a piece into tokens. Immutable after loading.
class Model {
 public:
  virtual ~Model() = default;
  virtual std::unique_ptr<ModelScratch> make_scratch() const = 0;
  /// Appends the piece's tokens. `piece` is not empty.
  virtual void tokenize(std::string_view piece, ModelScratch* scratch, std::vector<ModelToken>* tokens) const = 0;
  virtual const Vocabulary& vocabulary() const = 0;
};

/// The model that "model" describes: BPE, Unigram, WordPiece or WordLevel. Takes the file's large parts.
/// raw_bytes: BPE reads bytes instead of their characters in the byte alphabet; only when can_read_raw_bytes says so.
std::unique_ptr<const Model> read_model(const Field& field, TokenizerFile* file, bool raw_bytes);
bool can_read_raw_bytes(const Field& field, const TokenizerFile& file);

std::unique_ptr<const Model> read_bpe(const Field& field, TokenizerFile* file, bool raw_bytes);
std::unique_ptr<const Model> read_unigram(const Field& field, TokenizerFile* file);
std::unique_ptr<const Model> read_word_piece(const Field& field, TokenizerFile* file);
std::unique_ptr<const Model> read_word_level(const Field& field, TokenizerFile* file);

}  // namespace graft::text::tok
