#include "graft/text/tokenizer/decoder.h"

#include <algorithm>
#include <cctype>

#include "graft/base/strings.h"
#include "graft/text/tokenizer/byte_alphabet.h"
#include "graft/text/tokenizer/pattern.h"
#include "graft/text/tokenizer/pre_tokenizer.h"
#include "graft/text/tokenizer/unicode.h"

namespace graft::text::tok {
namespace {

class Sequence : public Decoder {
 public:
  explicit Sequence(const Field& field) {
    field.expect_only({"decoders"});
    for (const Field& item : field.at("decoders").items()) {
      if (item.is_null()) item.fail("expected a decoder, not null");
      parts_.push_back(read_decoder(item));
    }
  }
  void decode(std::vector<std::string>* tokens) const override {
    for (const auto& part : parts_) part->decode(tokens);
  }

 private:
  std::vector<std::unique_ptr<const Decoder>> parts_;
};

class ByteLevel : public Decoder {
 public:
  void decode(std::vector<std::string>* tokens) const override {
    std::string bytes;
    for (const std::string& token : *tokens) bytes += from_byte_alphabet(token).value_or(token);
    *tokens = {replace_malformed_utf8(bytes)};
  }
};

class Replace : public Decoder {
 public:
  explicit Replace(const Field& field) : pattern_(read_pattern(field.at("pattern"))), content_(field.string("content")) {
    field.expect_only({"pattern", "content"});
  }
  void decode(std::vector<std::string>* tokens) const override {
    std::vector<Match> pieces;
    for (std::string& token : *tokens) {
      pattern_->find(token, &pieces);
      std::string replaced;
      for (const Match& piece : pieces) replaced += piece.is_match ? content_ : token.substr(piece.range.begin, piece.range.size());
      token = std::move(replaced);
    }
  }

 private:
  PatternPointer pattern_;
  std::string content_;
};

/// <0xE2><0x96> … become the bytes they name: text when they are well-formed together, else one U+FFFD each.
class ByteFallback : public Decoder {
 public:
  void decode(std::vector<std::string>* tokens) const override {
    std::vector<std::string> result;
    std::string bytes;
    const auto flush = [&] {
      if (is_valid_utf8(bytes)) {
        if (!bytes.empty()) result.push_back(bytes);
      } else {
        result.insert(result.end(), bytes.size(), "\xEF\xBF\xBD");
      }
      bytes.clear();
    };
    for (std::string& token : *tokens) {
      if (const int byte = byte_of(token); byte >= 0) {
        bytes.push_back(static_cast<char>(byte));
      } else {
        flush();
        result.push_back(std::move(token));
      }
    }
    flush();
    *tokens = std::move(result);
  }

 private:
  static int byte_of(const std::string& token) {
    if (token.size() != 6 || !starts_with(token, "<0x") || token[5] != '>') return -1;
    if (!std::isxdigit(static_cast<unsigned char>(token[3])) || !std::isxdigit(static_cast<unsigned char>(token[4]))) return -1;
    return std::stoi(token.substr(3, 2), nullptr, 16);
  }
};

class Fuse : public Decoder {
 public:
  void decode(std::vector<std::string>* tokens) const override { *tokens = {join(*tokens, "")}; }
};

class Strip : public Decoder {
 public:
  explicit Strip(const Field& field) : start_(field.at("start").integer(0, INT32_MAX)), stop_(field.at("stop").integer(0, INT32_MAX)) {
    field.expect_only({"content", "start", "stop"});
    append_utf8(&content_, field.at("content").character());
  }
  void decode(std::vector<std::string>* tokens) const override {
    for (std::string& token : *tokens) {
      std::string_view rest = token;
      for (int64_t i = 0; i < start_ && rest.substr(0, content_.size()) == content_; ++i) rest.remove_prefix(content_.size());
      for (int64_t i = 0; i < stop_ && ends_with(rest, content_); ++i) rest.remove_suffix(content_.size());
      token = std::string(rest);
    }
  }

 private:
  std::string content_;
  int64_t start_, stop_;
};

class Metaspace : public Decoder {
 public:
  explicit Metaspace(const Field& field) : settings_(read_metaspace_settings(field)) {}
  void decode(std::vector<std::string>* tokens) const override {
    for (size_t i = 0; i < tokens->size(); ++i) {
      const bool drops = i == 0 && settings_.prepend != MetaspaceSettings::Prepend::kNever;
      replace_all(&(*tokens)[i], settings_.replacement, drops ? "" : " ");
    }
  }

  static void replace_all(std::string* text, std::string_view from, std::string_view to) {
    if (from.empty()) return;
    for (size_t at = text->find(from); at != std::string::npos; at = text->find(from, at + to.size())) text->replace(at, from.size(), to);
  }

 private:
  MetaspaceSettings settings_;
};

/// English typography, as HF's clean-up has it.
void clean_up(std::string* text) {
  static constexpr const char* kRules[][2] = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                                              {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                                              {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& rule : kRules) Metaspace::replace_all(text, rule[0], rule[1]);
}

class WordPiece : public Decoder {
 public:
  explicit WordPiece(const Field& field) : prefix_(field.string("prefix")), cleanup_(field.boolean("cleanup")) {
    field.expect_only({"prefix", "cleanup"});
  }
  void decode(std::vector<std::string>* tokens) const override {
    for (size_t i = 0; i < tokens->size(); ++i) {
      std::string& token = (*tokens)[i];
      if (i != 0) token = starts_with(token, prefix_) ? token.substr(prefix_.size()) : " " + token;
      if (cleanup_) clean_up(&token);
    }
  }

 private:
  std::string prefix_;
  bool cleanup_;
};

class BpeDecoder : public Decoder {
 public:
  explicit BpeDecoder(const Field& field) : suffix_(field.string("suffix")) { field.expect_only({"suffix"}); }
  void decode(std::vector<std::string>* tokens) const override {
    for (size_t i = 0; i < tokens->size(); ++i) Metaspace::replace_all(&(*tokens)[i], suffix_, i + 1 == tokens->size() ? "" : " ");
  }

 private:
  std::string suffix_;
};

class Ctc : public Decoder {
 public:
  explicit Ctc(const Field& field)
      : pad_(field.string("pad_token")), delimiter_(field.string("word_delimiter_token")), cleanup_(field.boolean("cleanup")) {
    field.expect_only({"pad_token", "word_delimiter_token", "cleanup"});
  }
  void decode(std::vector<std::string>* tokens) const override {
    tokens->erase(std::unique(tokens->begin(), tokens->end()), tokens->end());
    for (std::string& token : *tokens) {
      Metaspace::replace_all(&token, pad_, "");
      if (!cleanup_) continue;
      clean_up(&token);
      Metaspace::replace_all(&token, delimiter_, " ");
    }
  }

 private:
  std::string pad_, delimiter_;
  bool cleanup_;
};

}  // namespace

std::unique_ptr<const Decoder> read_decoder(const Field& field) {
  if (field.is_null()) return nullptr;
  switch (field.at("type").choice(
      "decoder", {"ByteLevel", "Replace", "ByteFallback", "Fuse", "Strip", "Metaspace", "WordPiece", "BPEDecoder", "CTC", "Sequence"})) {
    case 0:
      field.expect_only({"add_prefix_space", "trim_offsets", "use_regex"});
      return std::make_unique<ByteLevel>();
    case 1:
      return std::make_unique<Replace>(field);
    case 2:
      field.expect_only({});
      return std::make_unique<ByteFallback>();
    case 3:
      field.expect_only({});
      return std::make_unique<Fuse>();
    case 4:
      return std::make_unique<Strip>(field);
    case 5:
      return std::make_unique<Metaspace>(field);
    case 6:
      return std::make_unique<WordPiece>(field);
    case 7:
      return std::make_unique<BpeDecoder>(field);
    case 8:
      return std::make_unique<Ctc>(field);
    default:
      return std::make_unique<Sequence>(field);
  }
}

}  // namespace graft::text::tok
