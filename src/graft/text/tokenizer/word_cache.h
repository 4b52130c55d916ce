#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "graft/text/tokenizer/model.h"

namespace graft::text::tok {

/// Tokens of the pieces seen lately. Bounded: when full it starts afresh. One thread at a time.
class WordCache {
 public:
  /// Longer pieces seldom come twice and are not kept.
  static constexpr size_t kLongestWord = 128;

  WordCache() : slots_(kSlots) {}

  /// Appends the tokens and returns true when the word is known; `hash` is hash_bytes(word).
  bool find(std::string_view word, uint64_t hash, std::vector<ModelToken>* tokens) const;
  void insert(std::string_view word, uint64_t hash, const ModelToken* tokens, size_t count);

 private:
  static constexpr size_t kSlots = size_t{1} << 16;
  static constexpr size_t kMostWords = kSlots / 2;
  static constexpr size_t kMostBytes = size_t{8} << 20;

  struct Slot {
    uint64_t hash = 0;
    uint32_t word = 0, token = 0;
    uint16_t word_size = 0, token_count = 0;  // a size of 0: free
  };

  std::vector<Slot> slots_;
  std::string words_;
  std::vector<ModelToken> tokens_;
  size_t used_ = 0;
};

}  // namespace graft::text::tok
