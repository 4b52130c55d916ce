#include "graft/text/tokenizer/bpe.h"

#include <utility>

#include "graft/base/error.h"
#include "graft/text/tokenizer/byte_alphabet.h"
#include "graft/text/tokenizer/hash.h"
#include "graft/text/tokenizer/unicode.h"

namespace graft::text::tok {
namespace {

std::string byte_token(unsigned byte) {
  constexpr const char* kDigits = "0123456789ABCDEF";
  return std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">";
}

}  // namespace

void Bpe::tokenize(std::string_view piece, ModelScratch* model_scratch, std::vector<ModelToken>* tokens) const {
  auto* scratch = static_cast<Scratch*>(model_scratch);
  if (!split_at_marker_) return tokenize_word(piece, scratch, tokens);
  size_t begin = 0;
  for (size_t at = piece.find(kMarker, 1); at != std::string_view::npos; at = piece.find(kMarker, at + 1)) {
    size_t before = at - 1;
    while (is_continuation_byte(piece[before])) --before;
    const std::string_view character = piece.substr(before, at - before);
    bool crosses = false;
    for (const std::string& known : crossing_) crosses = crosses || known == character;
    if (crosses) continue;
    tokenize_word(piece.substr(begin, at - begin), scratch, tokens);
    begin = at;
  }
  tokenize_word(piece.substr(begin), scratch, tokens);
}

void Bpe::tokenize_word(std::string_view word, Scratch* scratch, std::vector<ModelToken>* tokens) const {
  const bool cached = word.size() <= WordCache::kLongestWord;
  const uint64_t hash = cached ? hash_bytes(word) : 0;
  if (cached && scratch->cache.find(word, hash, tokens)) return;
  std::vector<ModelToken>& result = scratch->merging.word;
  result.clear();
  const auto whole = !ignore_merges_ ? std::nullopt : raw_bytes_ ? raw_words_.find(word) : vocabulary_.find(word);
  if (whole) {
    result.push_back({*whole, static_cast<uint32_t>(word.size())});
  } else {
    if (prefix_.empty() && suffix_.empty()) {
      append_symbols(word, scratch);
    } else {
      append_decorated_symbols(word, scratch);
    }
    merge_word(merges_, &scratch->merging);
  }
  if (cached) scratch->cache.insert(word, hash, result.data(), result.size());
  tokens->insert(tokens->end(), result.begin(), result.end());
}

namespace {

/// Unknown characters on their way into a word. HF holds one back until the next known character, so that fuse_unk can join it.
/// Without an unk_token they vanish; their bytes then count for a neighbour, so that what follows keeps its place.
class Unknowns {
 public:
  Unknowns(int32_t id, bool fuse, std::vector<ModelToken>* word) : id_(id), fuse_(fuse), word_(word) {}
  void add(uint32_t size) {
    if (id_ == -1) return vanish(size);
    if (id_ < 0)
      throw DataError("the text has a character that the vocabulary lacks, and unk_token is not in it either")
          .at("tokenizer.json: model.unk_token");
    if (held_ && !fuse_) flush();
    size_ = held_ ? size_ + size : size;
    held_ = true;
  }
  void flush() {
    if (held_) word_->push_back({id_, size_});
    held_ = false;
  }
  /// Bytes that vanished before the first symbol.
  uint32_t take_lost() { return std::exchange(lost_, 0); }

 private:
  void vanish(uint32_t size) {
    if (word_->empty()) {
      lost_ += size;
    } else {
      word_->back().size += size;
    }
  }

  int32_t id_;
  bool fuse_, held_ = false;
  uint32_t size_ = 0, lost_ = 0;
  std::vector<ModelToken>* word_;
};

}  // namespace

void Bpe::append_symbols(std::string_view word, Scratch* scratch) const {
  std::vector<ModelToken>& symbols = scratch->merging.word;
  Unknowns unknowns(unknown_, fuse_unknown_, &symbols);
  for (size_t i = 0; i < word.size();) {
    const auto [code, bytes] = raw_bytes_ ? Character{static_cast<unsigned char>(word[i]), 1} : decode_character(word.data() + i);
    const std::string_view character = word.substr(i, bytes);
    i += bytes;
    const int32_t id = find_character(code, character);
    if (id >= 0) {
      unknowns.flush();
      symbols.push_back({id, bytes + unknowns.take_lost()});
    } else if (!byte_fallback_ || !append_byte_tokens(character, &symbols)) {
      // In the byte alphabet an unknown byte's size is that of its character; only its bytes matter here.
      unknowns.add(bytes);
    }
  }
  unknowns.flush();
}

void Bpe::append_decorated_symbols(std::string_view word, Scratch* scratch) const {
  std::vector<ModelToken>& symbols = scratch->merging.word;
  std::string& symbol = scratch->symbol;
  Unknowns unknowns(unknown_, fuse_unknown_, &symbols);
  for (size_t i = 0; i < word.size();) {
    const uint32_t bytes = character_size(word[i]);
    symbol = i == 0 ? "" : prefix_;
    symbol.append(word.substr(i, bytes));
    if (i + bytes == word.size()) symbol.append(suffix_);
    i += bytes;
    if (const auto id = vocabulary_.find(symbol)) {
      unknowns.flush();
      symbols.push_back({*id, bytes + unknowns.take_lost()});
    } else if (!byte_fallback_ || !append_byte_tokens(symbol, &symbols)) {
      unknowns.add(bytes);
    }
  }
  unknowns.flush();
}

bool Bpe::append_byte_tokens(std::string_view symbol, std::vector<ModelToken>* word) const {
  for (const char byte : symbol) {
    if (byte_tokens_[static_cast<unsigned char>(byte)] < 0) return false;
  }
  for (const char byte : symbol) word->push_back({byte_tokens_[static_cast<unsigned char>(byte)], 1});
  return true;
}

int32_t Bpe::find_character(char32_t code, std::string_view bytes) const {
  if (code < characters_.size()) return characters_[code];
  return vocabulary_.find(bytes).value_or(-1);
}

void Bpe::index_characters() {
  for (unsigned byte = 0; byte < 256; ++byte) byte_tokens_[byte] = vocabulary_.find(byte_token(byte)).value_or(-1);
  if (raw_bytes_) {
    characters_.resize(256);
    for (unsigned byte = 0; byte < 256; ++byte)
      characters_[byte] = vocabulary_.find(byte_to_character(static_cast<unsigned char>(byte))).value_or(-1);
    return;
  }
  characters_.assign(0x10000, -1);
  vocabulary_.for_each([this](std::string_view token, int32_t id) {
    if (token.empty() || character_size(token[0]) != token.size()) return;
    const char32_t code = decode_character(token.data()).code;
    if (code < characters_.size()) characters_[code] = id;
  });
}

void Bpe::index_raw_words() {
  raw_words_.reserve(vocabulary_.size());
  vocabulary_.for_each([this](std::string_view token, int32_t id) {
    if (const auto bytes = from_byte_alphabet(token)) raw_words_.insert(*bytes, id);
  });
}

}  // namespace graft::text::tok
