#include "graft/text/tokenizer/pattern.h"

#include <algorithm>

#include "graft/text/tokenizer/regex.h"
#include "graft/text/tokenizer/unicode.h"

namespace graft::text::tok {
namespace {

/// Collects matches and fills the gaps between them.
class Cover {
 public:
  Cover(std::string_view text, std::vector<Match>* pieces) : size_(static_cast<uint32_t>(text.size())), pieces_(pieces) { pieces->clear(); }
  void add(Range match) {
    if (match.begin != end_) pieces_->push_back({{end_, match.begin}, false});
    pieces_->push_back({match, true});
    end_ = match.end;
  }
  void finish() {
    if (end_ != size_ || size_ == 0) pieces_->push_back({{end_, size_}, false});
  }

 private:
  uint32_t size_, end_ = 0;
  std::vector<Match>* pieces_;
};

class Literal : public Pattern {
 public:
  explicit Literal(std::string literal) : literal_(std::move(literal)) {}
  void find(std::string_view text, std::vector<Match>* pieces) const override {
    Cover cover(text, pieces);
    for (size_t at = text.find(literal_); at != std::string_view::npos; at = text.find(literal_, at + literal_.size())) {
      cover.add({static_cast<uint32_t>(at), static_cast<uint32_t>(at + literal_.size())});
    }
    cover.finish();
  }

 private:
  std::string literal_;  // never empty
};

class Expression : public Pattern {
 public:
  explicit Expression(Regex regex) : regex_(std::move(regex)) {}
  void find(std::string_view text, std::vector<Match>* pieces) const override {
    Cover cover(text, pieces);
    if (!text.empty()) {
      thread_local std::vector<Range> matches;
      regex_.find_all(text, &matches);
      for (const Range match : matches) cover.add(match);
    }
    cover.finish();
  }

 private:
  Regex regex_;
};

class CharacterClass : public Pattern {
 public:
  explicit CharacterClass(bool (*member)(char32_t)) : member_(member) {}
  void find(std::string_view text, std::vector<Match>* pieces) const override {
    Cover cover(text, pieces);
    for (uint32_t i = 0; i < text.size();) {
      const auto [code, size] = decode_character(text.data() + i);
      if (member_(code)) cover.add({i, i + size});
      i += size;
    }
    cover.finish();
  }

 private:
  bool (*member_)(char32_t);
};

}  // namespace

PatternPointer literal_pattern(std::string literal) {
  if (literal.empty()) return regex_pattern("", "an empty pattern");  // matches between all characters
  return std::make_unique<Literal>(std::move(literal));
}

PatternPointer regex_pattern(std::string_view regex, const std::string& place) { return std::make_unique<Expression>(Regex(regex, place)); }

PatternPointer class_pattern(bool (*member)(char32_t)) { return std::make_unique<CharacterClass>(member); }

PatternPointer read_pattern(const Field& field) {
  const std::vector<std::string> names = field.names();
  if (names.size() != 1 || (names[0] != "String" && names[0] != "Regex")) field.fail("expected {\"String\": …} or {\"Regex\": …}");
  const Field value = field.at(names[0].c_str());
  return names[0] == "String" ? literal_pattern(value.string()) : regex_pattern(value.string(), value.path());
}

SplitBehavior read_split_behavior(const Field& field) {
  return static_cast<SplitBehavior>(
      field.choice("split behavior", {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"}));
}

void split_pieces(const std::vector<Match>& pieces, SplitBehavior behavior, bool invert, uint32_t offset, std::vector<Range>* ranges) {
  const size_t first = ranges->size();
  const auto push = [&](Range range) {
    if (range.begin != range.end) ranges->push_back({range.begin + offset, range.end + offset});
  };
  // Joined pieces: `open` is the one being built. Whether a piece joins it depends on the behaviour and on the piece before.
  Range open{0, 0};
  bool has_open = false, previous = false;
  switch (behavior) {
    case SplitBehavior::kIsolated:
      for (const Match& piece : pieces) push(piece.range);
      return;
    case SplitBehavior::kRemoved:
      for (const Match& piece : pieces) {
        if (piece.is_match == invert) push(piece.range);
      }
      return;
    case SplitBehavior::kContiguous:
    case SplitBehavior::kMergedWithPrevious:
      for (const Match& piece : pieces) {
        const bool match = piece.is_match != invert;
        const bool joins = behavior == SplitBehavior::kContiguous ? match == previous : match && !previous;
        if (joins && has_open) {
          open.end = piece.range.end;
        } else {
          if (has_open) push(open);
          open = piece.range;
          has_open = true;
        }
        previous = match;
      }
      if (has_open) push(open);
      return;
    case SplitBehavior::kMergedWithNext:
      for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
        const bool match = piece->is_match != invert;
        if (match && !previous && has_open) {
          open.begin = piece->range.begin;
        } else {
          if (has_open) push(open);
          open = piece->range;
          has_open = true;
        }
        previous = match;
      }
      if (has_open) push(open);
      std::reverse(ranges->begin() + static_cast<std::ptrdiff_t>(first), ranges->end());
      return;
  }
}

}  // namespace graft::text::tok
