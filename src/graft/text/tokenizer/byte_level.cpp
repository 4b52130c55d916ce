#include <utility>

#include "graft/text/tokenizer/byte_alphabet.h"
#include "graft/text/tokenizer/pre_tokenizer.h"

namespace graft::text::tok {
namespace {

// GPT-2's pattern, as HF's ByteLevel has it.
constexpr const char* kWords = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// GPT-2's pre-tokenizer: an optional space before each piece, a split into words, every byte as a character of the byte alphabet.
class ByteLevel : public PreTokenizer {
 public:
  ByteLevel(bool prefix_space, PatternPointer words, bool map_bytes)
      : prefix_space_(prefix_space), words_(std::move(words)), map_bytes_(map_bytes) {}

  void split(Pieces* pieces) const override {
    if (prefix_space_) add_spaces(pieces);
    if (words_ != nullptr) {
      pieces->scratch_ranges.clear();
      for (const Range range : pieces->ranges) {
        words_->find(pieces->text.view(range), &pieces->matches);
        split_pieces(pieces->matches, SplitBehavior::kIsolated, false, range.begin, &pieces->scratch_ranges);
      }
      pieces->swap_in_ranges();
    }
    if (map_bytes_) map_bytes(pieces);
  }

 private:
  static void add_spaces(Pieces* pieces) {
    pieces->scratch_text.clear(pieces->text.tracked());
    pieces->scratch_ranges.clear();
    for (const Range range : pieces->ranges) {
      const uint32_t begin = pieces->scratch_text.size();
      if (pieces->text.bytes()[range.begin] != ' ') pieces->scratch_text.append(' ', pieces->text.origin(range.begin));
      pieces->scratch_text.append(pieces->text, range);
      pieces->scratch_ranges.push_back({begin, pieces->scratch_text.size()});
    }
    pieces->swap_in_text();
  }

  static void map_bytes(Pieces* pieces) {
    pieces->scratch_text.clear(pieces->text.tracked());
    pieces->scratch_ranges.clear();
    for (const Range range : pieces->ranges) {
      const uint32_t begin = pieces->scratch_text.size();
      for (uint32_t i = range.begin; i < range.end; ++i) {
        pieces->scratch_text.append(byte_to_character(static_cast<unsigned char>(pieces->text.bytes()[i])), pieces->text.origin(i));
      }
      pieces->scratch_ranges.push_back({begin, pieces->scratch_text.size()});
    }
    pieces->swap_in_text();
  }

  bool prefix_space_;
  PatternPointer words_;  // null: no split
  bool map_bytes_;
};

}  // namespace

std::unique_ptr<const PreTokenizer> read_byte_level(const Field& field, bool map_bytes) {
  field.expect_only({"add_prefix_space", "trim_offsets", "use_regex"});
  PatternPointer words = field.boolean("use_regex", true) ? regex_pattern(kWords, field.path()) : nullptr;
  return std::make_unique<ByteLevel>(field.boolean("add_prefix_space"), std::move(words), map_bytes);
}

}  // namespace graft::text::tok
