#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "graft/text/tokenizer/aligned_text.h"
#include "graft/text/tokenizer/field.h"

namespace graft::text::tok {

/// A piece of a text that a pattern matched or that lies between two matches.
struct Match {
  Range range;
  bool is_match;
};

/// What separators look like.
class Pattern {
 public:
  virtual ~Pattern() = default;
  /// Covers the whole text, in order: every match, and what lies between them when it is not empty. An empty text gives one empty
  /// piece that is no match.
  virtual void find(std::string_view text, std::vector<Match>* pieces) const = 0;
};

using PatternPointer = std::unique_ptr<const Pattern>;

/// {"String": "literal"} or {"Regex": "…"}. A String is a literal even when it looks like a regular expression.
PatternPointer read_pattern(const Field& field);
PatternPointer literal_pattern(std::string literal);
PatternPointer regex_pattern(std::string_view regex, const std::string& place);
/// Every single character of a class.
PatternPointer class_pattern(bool (*member)(char32_t));

/// What becomes of a separator. On '-' in "the-final--countdown":
enum class SplitBehavior {
  kRemoved,             ///< the | final | countdown
  kIsolated,            ///< the | - | final | - | - | countdown
  kMergedWithPrevious,  ///< the- | final- | - | countdown
  kMergedWithNext,      ///< the | -final | - | -countdown
  kContiguous,          ///< the | - | final | -- | countdown
};

SplitBehavior read_split_behavior(const Field& field);

/// Turns a pattern's pieces into what remains after splitting, appended to `ranges` with `offset` added. Empty pieces are dropped.
void split_pieces(const std::vector<Match>& pieces, SplitBehavior behavior, bool invert, uint32_t offset, std::vector<Range>* ranges);

}  // namespace graft::text::tok
