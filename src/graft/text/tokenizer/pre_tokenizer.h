#pragma once

#include <memory>
#include <vector>

#include "graft/text/tokenizer/aligned_text.h"
#include "graft/text/tokenizer/field.h"
#include "graft/text/tokenizer/pattern.h"

namespace graft::text::tok {

/// A text cut into the pieces that the model encodes one by one; never empty ones. Pre-tokenizers cut further and may rewrite the
/// bytes, using the scratch members to build the result.
struct Pieces {
  AlignedText text;
  std::vector<Range> ranges;

  AlignedText scratch_text;
  std::vector<Range> scratch_ranges;
  std::vector<Match> matches;

  /// Makes what was built in the scratch members current.
  void swap_in_text() { std::swap(text, scratch_text), std::swap(ranges, scratch_ranges); }
  void swap_in_ranges() { std::swap(ranges, scratch_ranges); }
};

/// One class per "type" of HF `tokenizers`.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void split(Pieces* pieces) const = 0;
};

/// What the "pre_tokenizer" section comes to: sequences are flattened.
struct PreTokenization {
  std::vector<std::unique_ptr<const PreTokenizer>> steps;
  /// The last step is ByteLevel. It then leaves out the mapping to the byte alphabet when asked to: the model reads bytes.
  bool ends_with_bytes = false;
  /// Some step must know whether a piece begins where the original text does (Metaspace's prepend_scheme "first").
  bool needs_origins = false;
};

/// ByteLevel Split Metaspace Digits Whitespace WhitespaceSplit Punctuation BertPreTokenizer CharDelimiterSplit FixedLength Sequence;
/// DataError naming the JSON path for anything else. A null section has no steps.
/// raw_bytes: leave out the mapping of a final ByteLevel (see above).
PreTokenization read_pre_tokenization(const Field& field, bool raw_bytes);

std::unique_ptr<const PreTokenizer> read_metaspace(const Field& field, bool* needs_origins);
std::unique_ptr<const PreTokenizer> read_byte_level(const Field& field, bool map_bytes);

/// Metaspace's settings are read in two places: the pre-tokenizer and the decoder.
struct MetaspaceSettings {
  enum class Prepend { kAlways, kFirst, kNever };
  std::string replacement;
  Prepend prepend;
  bool split;
};
MetaspaceSettings read_metaspace_settings(const Field& field);

}  // namespace graft::text::tok
