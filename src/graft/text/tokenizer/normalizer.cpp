#include "graft/text/tokenizer/normalizer.h"

#include <utility>

#include "graft/text/tokenizer/byte_alphabet.h"
#include "graft/text/tokenizer/pattern.h"
#include "graft/text/tokenizer/unicode.h"

namespace graft::text::tok {
namespace {

class Sequence : public Normalizer {
 public:
  explicit Sequence(const Field& field) {
    field.expect_only({"normalizers"});
    for (const Field& item : field.at("normalizers").items()) parts_.push_back(read_normalizer(item));
  }
  void normalize(AlignedText* text, AlignedText* scratch) const override {
    for (const auto& part : parts_) part->normalize(text, scratch);
  }

 private:
  std::vector<std::unique_ptr<const Normalizer>> parts_;
};

class Replace : public Normalizer {
 public:
  explicit Replace(const Field& field) : pattern_(read_pattern(field.at("pattern"))), content_(field.string("content")) {
    field.expect_only({"pattern", "content"});
  }
  void normalize(AlignedText* text, AlignedText* scratch) const override {
    std::vector<Match> pieces;
    pattern_->find(text->bytes(), &pieces);
    scratch->clear(text->tracked());
    for (const Match& piece : pieces) {
      if (!piece.is_match) {
        scratch->append(*text, piece.range);
      } else {  // the new text comes from the last character it replaces
        scratch->append(content_, piece.range.end == 0 ? Origin{0, 0} : text->origin(piece.range.end - 1));
      }
    }
    std::swap(*text, *scratch);
  }

 private:
  PatternPointer pattern_;
  std::string content_;
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(const Field& field) : prefix_(field.string("prepend")) { field.expect_only({"prepend"}); }
  void normalize(AlignedText* text, AlignedText* scratch) const override {
    if (text->size() == 0) return;
    scratch->clear(text->tracked());
    scratch->append(prefix_, text->origin(0));
    scratch->append(*text, {0, text->size()});
    std::swap(*text, *scratch);
  }

 private:
  std::string prefix_;
};

class Strip : public Normalizer {
 public:
  explicit Strip(const Field& field) : left_(field.boolean("strip_left")), right_(field.boolean("strip_right")) {
    field.expect_only({"strip_left", "strip_right"});
  }
  void normalize(AlignedText* text, AlignedText* scratch) const override {
    const std::string& bytes = text->bytes();
    uint32_t begin = 0, end = text->size();
    while (left_ && begin < end && is_white_space(decode_character(bytes.data() + begin).code)) begin += character_size(bytes[begin]);
    while (right_ && end > begin) {
      uint32_t last = end - 1;
      while (is_continuation_byte(bytes[last])) --last;
      if (!is_white_space(decode_character(bytes.data() + last).code)) break;
      end = last;
    }
    scratch->clear(text->tracked());
    scratch->append(*text, {begin, end});
    std::swap(*text, *scratch);
  }

 private:
  bool left_, right_;
};

/// Each character becomes another text, or nothing.
class Map : public Normalizer {
 public:
  using Function = void (*)(char32_t, std::string*);
  explicit Map(Function function) : function_(function) {}
  void normalize(AlignedText* text, AlignedText* scratch) const override {
    scratch->clear(text->tracked());
    std::string mapped;
    for (uint32_t i = 0; i < text->size();) {
      const auto [code, size] = decode_character(text->bytes().data() + i);
      mapped.clear();
      function_(code, &mapped);
      scratch->append(mapped, text->origin(i));
      i += size;
    }
    std::swap(*text, *scratch);
  }

 private:
  Function function_;
};

void lowercase(char32_t code, std::string* mapped) { append_lowercase(mapped, code); }

void strip_accent(char32_t code, std::string* mapped) {
  if (!is_combining_mark(code)) append_utf8(mapped, code);
}

// SentencePiece's "nmt" rules: control characters go, odd white space becomes a space.
void nmt(char32_t code, std::string* mapped) {
  const bool removed =
      (code >= 0x01 && code <= 0x08) || code == 0x0B || (code >= 0x0E && code <= 0x1F) || code == 0x7F || code == 0x8F || code == 0x9F;
  const bool space = code == 0x09 || code == 0x0A || code == 0x0C || code == 0x0D || code == 0x1680 || (code >= 0x200B && code <= 0x200F) ||
                     code == 0x2028 || code == 0x2029 || code == 0x2581 || code == 0xFEFF || code == 0xFFFD;
  if (!removed) append_utf8(mapped, space ? ' ' : code);
}

class ByteLevel : public Normalizer {
 public:
  void normalize(AlignedText* text, AlignedText* scratch) const override {
    scratch->clear(text->tracked());
    for (uint32_t i = 0; i < text->size(); ++i)
      scratch->append(byte_to_character(static_cast<unsigned char>(text->bytes()[i])), text->origin(i));
    std::swap(*text, *scratch);
  }
};

}  // namespace

std::unique_ptr<const Normalizer> read_normalizer(const Field& field) {
  const size_t type = field.at("type").choice("normalizer", {"NFC", "NFD", "NFKC", "NFKD", "Sequence", "Replace", "Prepend", "Strip",
                                                             "Lowercase", "StripAccents", "Nmt", "ByteLevel", "BertNormalizer", "Bert"});
  if (type < 4 || (type > 7 && type < 12)) field.expect_only({});
  switch (type) {
    case 0:
    case 1:
    case 2:
    case 3:
      return unicode_normalizer(static_cast<UnicodeForm>(type));
    case 4:
      return std::make_unique<Sequence>(field);
    case 5:
      return std::make_unique<Replace>(field);
    case 6:
      return std::make_unique<Prepend>(field);
    case 7:
      return std::make_unique<Strip>(field);
    case 8:
      return std::make_unique<Map>(lowercase);
    case 9:
      return std::make_unique<Map>(strip_accent);
    case 10:
      return std::make_unique<Map>(nmt);
    case 11:
      return std::make_unique<ByteLevel>();
    default:
      return read_bert_normalizer(field);
  }
}

}  // namespace graft::text::tok
