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
    case UnicodeForm::kNfc: return static_cast<utf8proc_option_t>(kStable | UTF8PROC_COMPOSE);
    case UnicodeForm::kNfd: return static_cast<utf8proc_option_t>(kStable | UTF8PROC_DECOMPOSE);
    case UnicodeForm::kNfkc: return static_cast<utf8proc_option_t>(kStable | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
    default: return static_cast<utf8proc_option_t>(kStable | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
  }
}

std::string map_with_utf8proc(std::string_view text, UnicodeForm form) {
  utf8proc_uint8_t* mapped = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()), &mapped, options(form));
  if (size < 0) throw DataError(std::string("the text cannot be normalized: ") + utf8proc_errmsg(size));
  std::string result(reinterpret_cast<const char*>(mapped), static_cast<size_t>(size));
  std::free(mapped);  // utf8proc allocates with malloc
  return result;
}

bool composes(UnicodeForm form) { return form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc; }

/// One bit per character: whether the text around it may change (it decomposes, carries a combining class, or may join the character before it).
std::vector<bool> find_active(UnicodeForm form) {
  std::vector<bool> active(kLimit, false);
  std::string one;
  for (char32_t code = 0x80; code < kLimit; ++code) {
    const auto* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(code));
    const bool hangul = code >= 0xAC00 && code < 0xD7A4;
    if (property->decomp_seqindex == UINT16_MAX && property->combining_class == 0 && !hangul) continue;
    if (code >= 0xD800 && code < 0xE000) continue;
    one.clear();
    append_utf8(&one, code);
    active[code] = property->combining_class != 0 || (hangul ? !composes(form) : map_with_utf8proc(one, form) != one);
    if (!composes(form) || hangul || property->combining_class != 0) continue;
    // The last character of a canonical decomposition joins what stands before it.
    std::array<utf8proc_int32_t, 32> parts{};
    int boundary = 0;
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), parts.data(), 32, UTF8PROC_DECOMPOSE, &boundary);
    if (count > 1) active[static_cast<size_t>(parts[static_cast<size_t>(count) - 1])] = true;
  }
  if (composes(form)) {
    for (char32_t code = 0x1161; code <= 0x11C2; ++code) active[code] = active[code] || code <= 0x1175 || code >= 0x11A8;  // Hangul vowels, finals
  }
  for (const auto& range : tables::kNotNormalized) {
    for (char32_t code = range.first; code <= range.last; ++code) active[code] = false;
  }
  return active;
}

bool is_unknown(char32_t code) {
  return std::any_of(std::begin(tables::kNotNormalized), std::end(tables::kNotNormalized),
                     [code](const tables::CodeRange& range) { return code >= range.first && code <= range.last; });
}

/// Only the stretches that can change go through utf8proc: from the last character before an active one to the next inactive one.
class UnicodeNormalizer : public Normalizer {
 public:
  explicit UnicodeNormalizer(UnicodeForm form) : form_(form), active_(find_active(form)) {}

  void normalize(AlignedText* text, AlignedText* scratch) const override {
    const std::string& bytes = text->bytes();
    uint32_t copied = 0;  // what lies before is in `scratch`
    uint32_t before = 0;  // where the inactive character before `i` begins
    for (uint32_t i = 0; i < bytes.size();) {
      const auto [code, size] = decode_character(bytes.data() + i);
      if (!active_[code]) {
        before = i;
        i += size;
        continue;
      }
      if (copied == 0) scratch->clear(text->tracked());
      uint32_t begin = std::max(before, copied);
      if (begin < i && is_unknown(decode_character(bytes.data() + begin).code)) begin = i;
      uint32_t end = i + size;
      while (end < bytes.size() && active_[decode_character(bytes.data() + end).code]) end += character_size(bytes[end]);
      scratch->append(*text, {copied, begin});
      append_normalized(*text, {begin, end}, scratch);
      copied = before = i = end;
    }
    if (copied == 0) return;
    scratch->append(*text, {copied, text->size()});
    std::swap(*text, *scratch);
  }

 private:
  /// The i-th character of the result comes from the i-th one that went in, further ones from the last.
  void append_normalized(const AlignedText& text, Range range, AlignedText* result) const {
    const std::string mapped = map_with_utf8proc(text.view(range), form_);
    if (!text.tracked()) return result->append(mapped, {});
    uint32_t from = range.begin;
    for (size_t i = 0; i < mapped.size(); i += character_size(mapped[i])) {
      result->append(std::string_view(mapped).substr(i, character_size(mapped[i])), text.origin(from));
      const uint32_t next = from + character_size(text.bytes()[from]);
      if (next < range.end) from = next;
    }
  }

  UnicodeForm form_;
  std::vector<bool> active_;
};

}  // namespace

std::unique_ptr<const Normalizer> unicode_normalizer(UnicodeForm form) { return std::make_unique<UnicodeNormalizer>(form); }

}  // namespace graft::text::tok
