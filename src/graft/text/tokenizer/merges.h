#pragma once

#include <cstdint>
#include <vector>

#include "graft/text/tokenizer/model.h"

namespace graft::text::tok {

/// Which pairs of tokens BPE joins, in which order, and into what.
class MergeTable {
 public:
  struct Merge {
    uint32_t rank;
    int32_t id;
  };
  static constexpr uint32_t kNone = ~0U;  ///< the rank of a pair that is not joined

  void reserve(size_t merges);
  /// A pair that is there already gets the new rank (as in HF, where the last of several wins).
  void insert(int32_t left, int32_t right, Merge merge);
  Merge find(int32_t left, int32_t right) const {
    const uint64_t key = key_of(left, right);
    for (size_t at = slot_of(key);; at = (at + 1) & mask_) {
      if (slots_[at].key == key) return slots_[at].merge;
      if (slots_[at].key == kFree) return {kNone, 0};
    }
  }

 private:
  static constexpr uint64_t kFree = ~uint64_t{0};
  struct Slot {
    uint64_t key = kFree;
    Merge merge{kNone, 0};
  };
  static uint64_t key_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  size_t slot_of(uint64_t key) const { return static_cast<size_t>((key * 0x9E3779B97F4A7C15) >> 20) & mask_; }

  std::vector<Slot> slots_ = std::vector<Slot>(2);
  size_t mask_ = 1;
};

/// Memory for merging.
struct MergeScratch {
  struct Symbol {
    int32_t id;
    uint32_t size;
    uint32_t previous, next;
  };
  struct Candidate {
    uint32_t rank, position;
    int32_t id;
  };
  std::vector<ModelToken> word;         ///< in: the first symbols; out: the tokens
  std::vector<MergeTable::Merge> next;  ///< the merge of each symbol with the one after it
  std::vector<Symbol> symbols;
  std::vector<Candidate> queue;
};

/// Joins the pair of lowest rank (the leftmost of several) until none is left. Short words by scanning, long ones with a
/// priority queue: O(n log n), so that a megabyte without a break is no trouble.
void merge_word(const MergeTable& merges, MergeScratch* scratch);

}  // namespace graft::text::tok
