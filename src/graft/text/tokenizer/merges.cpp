#include "graft/text/tokenizer/merges.h"

#include <algorithm>

namespace graft::text::tok {
namespace {

constexpr size_t kLongestScanned = 48;  // symbols; where scanning stops being faster

void merge_by_scanning(const MergeTable& merges, std::vector<ModelToken>* word, std::vector<MergeTable::Merge>* next) {
  ModelToken* symbols = word->data();
  size_t count = word->size();
  next->resize(count);
  MergeTable::Merge* pairs = next->data();
  for (size_t i = 0; i + 1 < count; ++i) pairs[i] = merges.find(symbols[i].id, symbols[i + 1].id);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].rank == MergeTable::kNone) break;
    symbols[best] = {pairs[best].id, symbols[best].size + symbols[best + 1].size};
    std::copy(symbols + best + 2, symbols + count, symbols + best + 1);
    if (best + 2 < count) std::copy(pairs + best + 2, pairs + count, pairs + best + 1);
    --count;
    if (best > 0) pairs[best - 1] = merges.find(symbols[best - 1].id, symbols[best].id);
    if (best + 1 < count) pairs[best] = merges.find(symbols[best].id, symbols[best + 1].id);
  }
  word->resize(count);
}

constexpr uint32_t kNowhere = ~0U;

class QueueMerger {
 public:
  QueueMerger(const MergeTable& merges, MergeScratch* scratch) : merges_(merges), symbols_(scratch->symbols), queue_(scratch->queue) {}

  void run(std::vector<ModelToken>* word) {
    const auto count = static_cast<uint32_t>(word->size());
    symbols_.resize(count);
    queue_.clear();
    for (uint32_t i = 0; i < count; ++i) symbols_[i] = {(*word)[i].id, (*word)[i].size, i - 1, i + 1 < count ? i + 1 : kNowhere};
    for (uint32_t i = 0; i + 1 < count; ++i) {
      const auto merge = merges_.find(symbols_[i].id, symbols_[i + 1].id);
      if (merge.rank != MergeTable::kNone) queue_.push_back({merge.rank, i, merge.id});
    }
    std::make_heap(queue_.begin(), queue_.end(), later);
    gone_.assign(count, false);
    while (!queue_.empty()) {
      std::pop_heap(queue_.begin(), queue_.end(), later);
      const auto candidate = queue_.back();
      queue_.pop_back();
      join(candidate);
    }
    size_t kept = 0;
    for (uint32_t i = 0; i != kNowhere; i = symbols_[i].next) (*word)[kept++] = {symbols_[i].id, symbols_[i].size};
    word->resize(kept);
  }

 private:
  using Candidate = MergeScratch::Candidate;
  static bool later(const Candidate& a, const Candidate& b) { return a.rank != b.rank ? a.rank > b.rank : a.position > b.position; }

  void join(const Candidate& candidate) {
    auto& left = symbols_[candidate.position];
    if (gone_[candidate.position] || left.next == kNowhere) return;
    const uint32_t right_position = left.next;
    const auto& right = symbols_[right_position];
    const auto merge = merges_.find(left.id, right.id);
    if (merge.rank == MergeTable::kNone || merge.id != candidate.id) return;  // the neighbourhood has changed since
    left.id = candidate.id;
    left.size += right.size;
    left.next = right.next;
    gone_[right_position] = true;
    if (left.next != kNowhere) symbols_[left.next].previous = candidate.position;
    if (left.previous != kNowhere) push(left.previous);
    if (left.next != kNowhere) push(candidate.position);
  }

  void push(uint32_t position) {
    const auto merge = merges_.find(symbols_[position].id, symbols_[symbols_[position].next].id);
    if (merge.rank == MergeTable::kNone) return;
    queue_.push_back({merge.rank, position, merge.id});
    std::push_heap(queue_.begin(), queue_.end(), later);
  }

  const MergeTable& merges_;
  std::vector<MergeScratch::Symbol>& symbols_;
  std::vector<Candidate>& queue_;
  std::vector<bool> gone_;
};

}  // namespace

void MergeTable::reserve(size_t merges) {
  size_t slots = 2;
  while (slots < merges * 2 + 1) slots *= 2;
  slots_.assign(slots, Slot{});
  mask_ = slots - 1;
}

void MergeTable::insert(int32_t left, int32_t right, Merge merge) {
  const uint64_t key = key_of(left, right);
  size_t at = slot_of(key);
  while (slots_[at].key != kFree && slots_[at].key != key) at = (at + 1) & mask_;
  slots_[at] = {key, merge};
}

void merge_word(const MergeTable& merges, MergeScratch* scratch) {
  if (scratch->word.size() <= kLongestScanned) {
    merge_by_scanning(merges, &scratch->word, &scratch->next);
  } else {
    QueueMerger(merges, scratch).run(&scratch->word);
  }
}

}  // namespace graft::text::tok
