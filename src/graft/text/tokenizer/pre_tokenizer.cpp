#include "graft/text/tokenizer/pre_tokenizer.h"

#include <utility>

#include "graft/text/tokenizer/unicode.h"

namespace graft::text::tok {
namespace {

/// Cuts wherever a pattern matches.
class Split : public PreTokenizer {
 public:
  Split(PatternPointer pattern, SplitBehavior behavior, bool invert) : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void split(Pieces* pieces) const override {
    pieces->scratch_ranges.clear();
    for (const Range range : pieces->ranges) {
      pattern_->find(pieces->text.view(range), &pieces->matches);
      split_pieces(pieces->matches, behavior_, invert_, range.begin, &pieces->scratch_ranges);
    }
    pieces->swap_in_ranges();
  }

 private:
  PatternPointer pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

/// Pieces of `length` characters.
class FixedLength : public PreTokenizer {
 public:
  explicit FixedLength(uint32_t length) : length_(length) {}

  void split(Pieces* pieces) const override {
    pieces->scratch_ranges.clear();
    for (const Range range : pieces->ranges) {
      uint32_t begin = range.begin, characters = 0;
      for (uint32_t i = range.begin; i < range.end; i += character_size(pieces->text.bytes()[i])) {
        if (characters++ % length_ != 0 || i == begin) continue;
        pieces->scratch_ranges.push_back({begin, i});
        begin = i;
      }
      pieces->scratch_ranges.push_back({begin, range.end});
    }
    pieces->swap_in_ranges();
  }

 private:
  uint32_t length_;
};

std::unique_ptr<const PreTokenizer> split_at(PatternPointer pattern, SplitBehavior behavior, bool invert = false) {
  return std::make_unique<Split>(std::move(pattern), behavior, invert);
}

void read_step(const Field& field, bool raw_bytes, bool last, PreTokenization* result) {
  enum Type {
    kByteLevel,
    kSplit,
    kMetaspace,
    kDigits,
    kWhitespace,
    kWhitespaceSplit,
    kPunctuation,
    kBert,
    kDelimiter,
    kDelimiterLong,
    kFixedLength,
    kSequence
  };
  const auto type = static_cast<Type>(
      field.at("type").choice("pre-tokenizer", {"ByteLevel", "Split", "Metaspace", "Digits", "Whitespace", "WhitespaceSplit", "Punctuation",
                                                "BertPreTokenizer", "Delimiter", "CharDelimiterSplit", "FixedLength", "Sequence"}));
  const auto add = [&](std::unique_ptr<const PreTokenizer> step) { result->steps.push_back(std::move(step)); };
  if (type == kWhitespace || type == kWhitespaceSplit || type == kBert) field.expect_only({});
  switch (type) {
    case kByteLevel:
      result->ends_with_bytes = last;
      return add(read_byte_level(field, !(last && raw_bytes)));
    case kSplit:
      field.expect_only({"pattern", "behavior", "invert"});
      return add(split_at(read_pattern(field.at("pattern")), read_split_behavior(field.at("behavior")), field.boolean("invert")));
    case kMetaspace:
      return add(read_metaspace(field, &result->needs_origins));
    case kDigits:
      field.expect_only({"individual_digits"});
      return add(
          split_at(class_pattern(is_numeric), field.boolean("individual_digits") ? SplitBehavior::kIsolated : SplitBehavior::kContiguous));
    case kWhitespace:  // Rust's \w, which counts the zero-width joiners
      return add(split_at(regex_pattern(R"([\w\u200c\u200d]+|[^\w\s\u200c\u200d]+)", field.path()), SplitBehavior::kRemoved, true));
    case kWhitespaceSplit:
      return add(split_at(class_pattern(is_white_space), SplitBehavior::kRemoved));
    case kPunctuation:
      field.expect_only({"behavior"});
      return add(split_at(class_pattern(is_punctuation),
                          field.has("behavior") ? read_split_behavior(field.at("behavior")) : SplitBehavior::kIsolated));
    case kBert:
      add(split_at(class_pattern(is_white_space), SplitBehavior::kRemoved));
      return add(split_at(class_pattern(is_punctuation), SplitBehavior::kIsolated));
    case kDelimiter:
    case kDelimiterLong: {
      field.expect_only({"delimiter"});
      std::string delimiter;
      append_utf8(&delimiter, field.at("delimiter").character());
      return add(split_at(literal_pattern(delimiter), SplitBehavior::kRemoved));
    }
    case kFixedLength:
      field.expect_only({"length"});
      return add(std::make_unique<FixedLength>(field.has("length") ? static_cast<uint32_t>(field.at("length").integer(1, INT32_MAX)) : 5));
    case kSequence: {
      field.expect_only({"pretokenizers"});
      const std::vector<Field> items = field.at("pretokenizers").items();
      for (size_t i = 0; i < items.size(); ++i) read_step(items[i], raw_bytes, last && i + 1 == items.size(), result);
      return;
    }
  }
}

}  // namespace

PreTokenization read_pre_tokenization(const Field& field, bool raw_bytes) {
  PreTokenization result;
  if (!field.is_null()) read_step(field, raw_bytes, true, &result);
  return result;
}

}  // namespace graft::text::tok
