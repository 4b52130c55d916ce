#include <utility>

#include "graft/text/tokenizer/normalizer.h"
#include "graft/text/tokenizer/unicode.h"

namespace graft::text::tok {
namespace {

bool is_removed_control(char32_t code) {
  if (code == '\t' || code == '\n' || code == '\r') return false;
  return code == 0 || code == 0xFFFD || is_control(code);
}

// The CJK ideograph blocks as BERT lists them.
bool is_chinese(char32_t code) {
  return (code >= 0x4E00 && code <= 0x9FFF) || (code >= 0x3400 && code <= 0x4DBF) || (code >= 0x20000 && code <= 0x2A6DF) ||
         (code >= 0x2A700 && code <= 0x2B73F) || (code >= 0x2B740 && code <= 0x2B81F) || (code >= 0x2B920 && code <= 0x2CEAF) ||
         (code >= 0xF900 && code <= 0xFAFF) || (code >= 0x2F800 && code <= 0x2FA1F);
}

/// Cleans, sets ideographs apart, strips accents, lowers: in this order, as HF's BertNormalizer.
class Bert : public Normalizer {
 public:
  explicit Bert(const Field& field)
      : clean_text_(field.boolean("clean_text")),
        handle_chinese_(field.boolean("handle_chinese_chars")),
        lowercase_(field.boolean("lowercase")),
        strip_accents_(field.boolean("strip_accents", lowercase_)),
        decompose_(unicode_normalizer(UnicodeForm::kNfd)) {
    field.expect_only({"clean_text", "handle_chinese_chars", "lowercase", "strip_accents"});
  }

  void normalize(AlignedText* text, AlignedText* scratch) const override {
    if (clean_text_ || handle_chinese_) {
      map(text, scratch, [this](char32_t code, std::string* mapped) {
        if (clean_text_ && is_removed_control(code)) return;
        if (clean_text_ && is_white_space(code)) code = ' ';
        const bool apart = handle_chinese_ && is_chinese(code);
        if (apart) mapped->push_back(' ');
        append_utf8(mapped, code);
        if (apart) mapped->push_back(' ');
      });
    }
    if (strip_accents_) {
      decompose_->normalize(text, scratch);
      map(text, scratch, [](char32_t code, std::string* mapped) {
        if (!is_nonspacing_mark(code)) append_utf8(mapped, code);
      });
    }
    if (lowercase_) map(text, scratch, [](char32_t code, std::string* mapped) { append_lowercase(mapped, code); });
  }

 private:
  template <typename Function>
  static void map(AlignedText* text, AlignedText* scratch, Function function) {
    scratch->clear(text->tracked());
    std::string mapped;
    for (uint32_t i = 0; i < text->size();) {
      const auto [code, size] = decode_character(text->bytes().data() + i);
      mapped.clear();
      function(code, &mapped);
      scratch->append(mapped, text->origin(i));
      i += size;
    }
    std::swap(*text, *scratch);
  }

  bool clean_text_, handle_chinese_, lowercase_, strip_accents_;
  std::unique_ptr<const Normalizer> decompose_;
};

}  // namespace

std::unique_ptr<const Normalizer> read_bert_normalizer(const Field& field) { return std::make_unique<Bert>(field); }

}  // namespace graft::text::tok
