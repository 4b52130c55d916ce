#include "graft/text/tokenizer/regex_class.h"

#include "graft/text/tokenizer/unicode.h"

namespace graft::text::tok {
namespace {

constexpr int kMaximumDepth = 50;

/// One operand of an intersection: what brackets can hold, and further one-character patterns.
struct Operand {
  std::string items;
  std::vector<std::string> others;

  void add(const SetItems& set) {
    if (!set.negated) {
      items += set.items;
    } else {
      others.push_back(bracketed(set));
    }
  }
  bool empty() const { return items.empty() && others.empty(); }
  std::string pattern() const {
    if (others.empty()) return "[" + items + "]";
    std::string alternatives = items.empty() ? "" : "[" + items + "]|";
    for (size_t i = 0; i < others.size(); ++i) alternatives += (i == 0 ? "" : "|") + others[i];
    return "(?:" + alternatives + ")";
  }
};

/// "[:alpha:]" at the cursor, moving past it.
std::optional<SetItems> read_posix_bracket(PatternCursor* cursor) {
  if (cursor->peek() != '[' || cursor->peek(1) != ':') return std::nullopt;
  const size_t close = cursor->pattern.find(":]", cursor->at + 2);
  if (close == std::string_view::npos || close - cursor->at > 22) return std::nullopt;
  const std::string_view name = cursor->pattern.substr(cursor->at + 2, close - cursor->at - 2);
  if (name.find_first_of("[]\\") != std::string_view::npos) return std::nullopt;
  cursor->at = close + 2;
  const std::string_view plain = name.substr(name.substr(0, 1) == "^" ? 1 : 0);
  if (plain == "punct") return SetItems{R"(\p{P}\p{S})", plain.size() != name.size()};  // \p{Punct} has no symbols
  return set_of_property(name, false, *cursor);
}

/// A character or a set; `character` is set for a character.
struct Item {
  std::optional<char32_t> character;
  SetItems set;
};

Item read_item(PatternCursor* cursor) {
  if (!cursor->take("\\")) {
    const auto [code, size] = decode_character(cursor->pattern.data() + cursor->at);
    cursor->at += size;
    return {code, {}};
  }
  const char letter = cursor->peek();
  if (const auto set = set_of_escape(letter, true)) {
    ++cursor->at;
    return {std::nullopt, *set};
  }
  if (letter == 'p' || letter == 'P') {
    ++cursor->at;
    if (const auto set = read_property(cursor, letter == 'P')) return {std::nullopt, *set};
    return {static_cast<char32_t>(letter), {}};
  }
  if (letter == 'b') {
    ++cursor->at;
    return {'\b', {}};
  }
  return {read_character_escape(cursor), {}};
}

/// A character, a range from it, or a set.
void read_range(PatternCursor* cursor, Operand* operand) {
  const Item first = read_item(cursor);
  if (!first.character) return operand->add(first.set);
  operand->items += code_point(*first.character);
  const bool range = cursor->peek() == '-' && cursor->peek(1) != ']' && cursor->peek(1) != '[' && cursor->at + 1 < cursor->pattern.size();
  if (!range) return;
  ++cursor->at;
  const Item last = read_item(cursor);
  if (!last.character) {  // "a-\d": the '-' is itself
    operand->items += "\\-";
    return operand->add(last.set);
  }
  if (*last.character < *first.character) cursor->fail("a range in a class runs backwards");
  operand->items += "-" + code_point(*last.character);
}

}  // namespace

std::string translate_class(PatternCursor* cursor, int depth) {
  if (depth > kMaximumDepth) cursor->fail("classes are nested too deeply");
  ++cursor->at;  // the '['
  const bool negated = cursor->take("^");
  std::vector<Operand> operands(1);
  // A ']' at the very beginning is itself when another one closes the class.
  if (cursor->peek() == ']' && cursor->pattern.find(']', cursor->at + 1) != std::string_view::npos) {
    operands.back().items += "\\]";
    ++cursor->at;
  }
  for (;;) {
    if (cursor->done()) cursor->fail("']' is missing");
    if (cursor->take("]")) break;
    if (cursor->take("&&")) {
      operands.emplace_back();
    } else if (const auto set = read_posix_bracket(cursor)) {
      operands.back().add(*set);
    } else if (cursor->peek() == '[') {
      operands.back().others.push_back(translate_class(cursor, depth + 1));
    } else {
      read_range(cursor, &operands.back());
    }
  }
  for (const Operand& operand : operands) {
    if (operand.empty()) cursor->fail("an empty character class");
  }
  if (operands.size() == 1 && operands[0].others.empty()) return bracketed({operands[0].items, negated});
  std::string all;
  for (size_t i = 0; i + 1 < operands.size(); ++i) all += "(?=" + operands[i].pattern() + ")";
  all += operands.back().pattern();
  return negated ? "(?:(?!" + all + ")(?s:.))" : "(?:" + all + ")";
}

}  // namespace graft::text::tok
