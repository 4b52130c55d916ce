#pragma once

#include <memory>
#include <string>
#include <vector>

#include "graft/text/tokenizer/field.h"

namespace graft::text::tok {

/// Turns tokens back into text. One class per "type" of HF `tokenizers`; the final text is all strings joined.
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual void decode(std::vector<std::string>* tokens) const = 0;
};

/// ByteLevel Replace ByteFallback Fuse Strip Metaspace WordPiece BPEDecoder CTC Sequence; DataError naming the JSON path for anything
/// else. A null section gives nullptr: tokens are then joined with spaces.
std::unique_ptr<const Decoder> read_decoder(const Field& field);

}  // namespace graft::text::tok
