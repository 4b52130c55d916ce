#pragma once

#include <memory>

#include "graft/text/tokenizer/aligned_text.h"
#include "graft/text/tokenizer/field.h"

namespace graft::text::tok {

/// Changes a text before it is split. One class per "type" of HF `tokenizers`.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// Changes `text`; `scratch` is any text to build the result in (the two are swapped).
  virtual void normalize(AlignedText* text, AlignedText* scratch) const = 0;
};

/// The normalizer that "normalizer" describes: NFC NFD NFKC NFKD Replace Prepend Strip StripAccents Lowercase Nmt BertNormalizer ByteLevel
/// Sequence. DataError naming the JSON path for anything else.
std::unique_ptr<const Normalizer> read_normalizer(const Field& field);

/// Unicode normalization forms, with the characters that HF's older tables do not know left as they are.
enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };
std::unique_ptr<const Normalizer> unicode_normalizer(UnicodeForm form);

/// The whole of BertNormalizer.
std::unique_ptr<const Normalizer> read_bert_normalizer(const Field& field);

}  // namespace graft::text::tok
