#include <utility>

#include "graft/text/tokenizer/pre_tokenizer.h"
#include "graft/text/tokenizer/unicode.h"

namespace graft::text::tok {
namespace {

using Prepend = MetaspaceSettings::Prepend;

/// SentencePiece's view of white space: spaces become a visible character, one is put in front, pieces begin at it.
class Metaspace : public PreTokenizer {
 public:
  explicit Metaspace(MetaspaceSettings settings) : settings_(std::move(settings)), separator_(literal_pattern(settings_.replacement)) {}

  void split(Pieces* pieces) const override {
    AlignedText& result = pieces->scratch_text;
    result.clear(pieces->text.tracked());
    pieces->scratch_ranges.clear();
    for (const Range range : pieces->ranges) {
      const uint32_t begin = result.size();
      if (wants_prefix(pieces->text, range)) result.append(settings_.replacement, pieces->text.origin(range.begin));
      append_replaced(pieces->text, range, &result);
      const Range whole{begin, result.size()};
      if (!settings_.split) {
        pieces->scratch_ranges.push_back(whole);
      } else {
        separator_->find(result.view(whole), &pieces->matches);
        split_pieces(pieces->matches, SplitBehavior::kMergedWithNext, false, begin, &pieces->scratch_ranges);
      }
    }
    pieces->swap_in_text();
  }

 private:
  bool wants_prefix(const AlignedText& text, Range range) const {
    if (settings_.prepend == Prepend::kNever) return false;
    const std::string_view view = text.view(range);
    if (view[0] == ' ' || view.substr(0, settings_.replacement.size()) == settings_.replacement) return false;
    return settings_.prepend == Prepend::kAlways || text.origin(range.begin).begin == 0;
  }

  void append_replaced(const AlignedText& text, Range range, AlignedText* result) const {
    uint32_t copied = range.begin;
    for (uint32_t i = range.begin; i < range.end; ++i) {
      if (text.bytes()[i] != ' ') continue;
      result->append(text, {copied, i});
      result->append(settings_.replacement, text.origin(i));
      copied = i + 1;
    }
    result->append(text, {copied, range.end});
  }

  MetaspaceSettings settings_;
  PatternPointer separator_;
};

}  // namespace

MetaspaceSettings read_metaspace_settings(const Field& field) {
  field.expect_only({"replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"});
  MetaspaceSettings settings;
  append_utf8(&settings.replacement, field.at("replacement").character());
  settings.prepend = field.has("prepend_scheme")
                         ? static_cast<Prepend>(field.at("prepend_scheme").choice("prepend scheme", {"always", "first", "never"}))
                         : Prepend::kAlways;
  // The older name. HF refuses a file in which the two contradict each other.
  if (!field.boolean("add_prefix_space", true)) {
    if (field.has("prepend_scheme") && settings.prepend != Prepend::kNever)
      field.fail("add_prefix_space is false but prepend_scheme is not \"never\"");
    settings.prepend = Prepend::kNever;
  }
  settings.split = field.boolean("split", true);
  return settings;
}

std::unique_ptr<const PreTokenizer> read_metaspace(const Field& field, bool* needs_origins) {
  MetaspaceSettings settings = read_metaspace_settings(field);
  if (settings.prepend == Prepend::kFirst) *needs_origins = true;
  return std::make_unique<Metaspace>(std::move(settings));
}

}  // namespace graft::text::tok
