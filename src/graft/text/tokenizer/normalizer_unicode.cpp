#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include "graft/base/error.h"
#include "graft/text/tokenizer/normalizer.h"
#include "graft/text/tokenizer/unicode.h"
#include "graft/text/tokenizer/unicode_tables.h"

namespace graft::text::tok {
namespace {

constexpr char32_t kLimit = 0x110000;

utf8proc_option_t options(UnicodeForm form) {
  constexpr int kStable = UTF8PROC_STABLE;
  switch (form) {
    case UnicodeForm::kNfc:
      return static_cast<utf8proc_option_t>(kStable | UTF8PROC_COMPOSE);
    case UnicodeForm::kNfd:
      return static_cast<utf8proc_option_t>(kStable | UTF8PROC_DECOMPOSE);
    case UnicodeForm::kNfkc:
      return static_cast<utf8proc_option_t>(kStable | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
    default:
      return static_cast<utf8proc_option_t>(kStable | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
  }
}

std::string map_with_utf8proc(std::string_view text, UnicodeForm form) {
  utf8proc_uint8_t* mapped = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                                 &mapped, options(form));
  if (size < 0) throw DataError(std::string("the text cannot be normalized: ") + utf8proc_errmsg(size));
  std::string result(reinterpret_cast<const char*>(mapped), static_cast<size_t>(size));
  std::free(mapped);  // utf8proc allocates with malloc
  return result;
}

bool composes(UnicodeForm form) { return form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc; }

/// What a form does to a character.
struct Reactions {
  std::vector<bool> active = std::vector<bool>(kLimit);  ///< it or its neighbours may change
  std::vector<bool> joins = std::vector<bool>(kLimit);   ///< it may move before, or melt into, the character before it
};

bool decomposes_or_combines(char32_t code) {
  if (code >= 0xD800 && code < 0xE000) return false;
  const auto* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(code));
  return property->decomp_seqindex != UINT16_MAX || property->combining_class != 0;
}

bool is_hangul_syllable(char32_t code) { return code >= 0xAC00 && code < 0xD7A4; }

std::vector<char32_t> decompose(char32_t code, bool compatible) {
  std::array<utf8proc_int32_t, 64> parts{};
  int boundary = 0;
  const auto flags = static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0));
  const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), parts.data(), parts.size(), flags, &boundary);
  return {parts.begin(), parts.begin() + std::max<utf8proc_ssize_t>(count, 0)};
}

Reactions find_reactions(UnicodeForm form) {
  const bool compatible = form == UnicodeForm::kNfkc || form == UnicodeForm::kNfkd;
  Reactions found;
  std::vector<bool> seconds(kLimit);  // characters that end a canonical decomposition: they join what stands before them
  if (composes(form)) {
    for (char32_t code = 0x80; code < kLimit; ++code) {
      if (!decomposes_or_combines(code) || is_hangul_syllable(code)) continue;
      const auto parts = decompose(code, false);
      if (parts.size() > 1) seconds[parts.back()] = true;
    }
    for (char32_t code = 0x1161; code <= 0x11C2; ++code) seconds[code] = code <= 0x1175 || code >= 0x11A8;  // Hangul vowels and finals
  }
  std::string one;
  for (char32_t code = 0x80; code < kLimit; ++code) {
    if (!seconds[code] && !decomposes_or_combines(code) && !is_hangul_syllable(code)) continue;
    const auto combining = [](char32_t c) { return utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->combining_class != 0; };
    const auto parts = decompose(code, compatible);
    found.joins[code] = !parts.empty() && (combining(parts[0]) || seconds[parts[0]]);
    one.clear();
    append_utf8(&one, code);
    const bool changes = is_hangul_syllable(code) ? !composes(form) : map_with_utf8proc(one, form) != one;
    found.active[code] = changes || found.joins[code] || combining(code);
  }
  for (const auto& range : tables::kNotNormalized) {
    for (char32_t code = range.first; code <= range.last; ++code) found.active[code] = found.joins[code] = false;
  }
  return found;
}

bool is_unknown(char32_t code) {
  return std::any_of(std::begin(tables::kNotNormalized), std::end(tables::kNotNormalized),
                     [code](const tables::CodeRange& range) { return code >= range.first && code <= range.last; });
}

/// Only the stretches that can change go through utf8proc: a character with those after it that join it.
class UnicodeNormalizer : public Normalizer {
 public:
  explicit UnicodeNormalizer(UnicodeForm form) : form_(form), reactions_(find_reactions(form)) {}

  void normalize(AlignedText* text, AlignedText* scratch) const override {
    const std::string& bytes = text->bytes();
    uint32_t copied = 0;  // what lies before is in `scratch`
    uint32_t before = 0;  // where the character before `i` begins
    for (uint32_t i = 0; i < bytes.size();) {
      const auto [code, size] = decode_character(bytes.data() + i);
      if (!reactions_.active[code]) {
        before = i;
        i += size;
        continue;
      }
      if (copied == 0) scratch->clear(text->tracked());
      uint32_t begin = reactions_.joins[code] ? std::max(before, copied) : i;
      if (begin < i && is_unknown(decode_character(bytes.data() + begin).code)) begin = i;
      uint32_t end = i + size;
      while (end < bytes.size() && reactions_.joins[decode_character(bytes.data() + end).code]) end += character_size(bytes[end]);
      scratch->append(*text, {copied, begin});
      append_normalized(*text, {begin, end}, scratch);
      copied = before = i = end;
    }
    if (copied == 0) return;
    scratch->append(*text, {copied, text->size()});
    std::swap(*text, *scratch);
  }

 private:
  /// When characters have melted together it was the first ones: the i-th of the result comes from the i-th from the end, its first one
  /// from the first. When there are more than went in, the last of those has become several.
  void append_normalized(const AlignedText& text, Range range, AlignedText* result) const {
    const std::string mapped = map_with_utf8proc(text.view(range), form_);
    if (!text.tracked()) return result->append(mapped, {});
    const size_t before = count_characters(text.view(range)), after = count_characters(mapped);
    uint32_t from = range.begin;
    const auto step = [&] {
      const uint32_t next = from + character_size(text.bytes()[from]);
      if (next < range.end) from = next;
    };
    for (size_t i = 0, index = 0; i < mapped.size(); i += character_size(mapped[i]), ++index) {
      if (index == 1) {
        for (size_t melted = after; melted < before; ++melted) step();
      }
      result->append(std::string_view(mapped).substr(i, character_size(mapped[i])), text.origin(from));
      step();
    }
  }

  UnicodeForm form_;
  Reactions reactions_;
};

}  // namespace

std::unique_ptr<const Normalizer> unicode_normalizer(UnicodeForm form) { return std::make_unique<UnicodeNormalizer>(form); }

}  // namespace graft::text::tok
