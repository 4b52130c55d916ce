#include "graft/text/tokenizer/word_cache.h"

#include <algorithm>

namespace graft::text::tok {

bool WordCache::find(std::string_view word, uint64_t hash, std::vector<ModelToken>* tokens) const {
  for (size_t at = hash % kSlots; slots_[at].word_size != 0; at = (at + 1) % kSlots) {
    const Slot& slot = slots_[at];
    if (slot.hash != hash || std::string_view(words_).substr(slot.word, slot.word_size) != word) continue;
    const auto first = tokens_.begin() + slot.token;
    tokens->insert(tokens->end(), first, first + slot.token_count);
    return true;
  }
  return false;
}

void WordCache::insert(std::string_view word, uint64_t hash, const ModelToken* tokens, size_t count) {
  if (word.empty() || word.size() > kLongestWord || count > UINT16_MAX) return;
  if (used_ == kMostWords || words_.size() + tokens_.size() * sizeof(ModelToken) > kMostBytes) {
    std::fill(slots_.begin(), slots_.end(), Slot{});
    words_.clear();
    tokens_.clear();
    used_ = 0;
  }
  size_t at = hash % kSlots;
  while (slots_[at].word_size != 0) at = (at + 1) % kSlots;
  slots_[at] = {hash, static_cast<uint32_t>(words_.size()), static_cast<uint32_t>(tokens_.size()), static_cast<uint16_t>(word.size()),
                static_cast<uint16_t>(count)};
  words_.append(word);
  tokens_.insert(tokens_.end(), tokens, tokens + count);
  ++used_;
}

}  // namespace graft::text::tok
