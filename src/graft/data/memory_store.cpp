#include <algorithm>
#include <vector>

#include "graft/data/token_store.h"

namespace graft::data {
namespace {

/// Tokens in blocks that never move: growing costs no copy. offset = block << 32 | position in the block.
class MemoryStore : public TokenStore {
 public:
  const SampleEntry& entry(int64_t index) const override { return entries_[static_cast<size_t>(index)]; }
  int64_t size() const override { return static_cast<int64_t>(entries_.size()); }
  const int32_t* ids(int64_t index) const override {
    const uint64_t offset = entry(index).offset;
    return blocks_[offset >> 32].data() + (offset & UINT32_MAX);
  }

  void append(SampleEntry entry, const int32_t* ids, const int32_t* labels) {
    const size_t needed = size_t{2} * entry.length;
    if (blocks_.empty() || blocks_.back().capacity() - blocks_.back().size() < needed) {
      blocks_.emplace_back();
      blocks_.back().reserve(std::max(kBlock, needed));
    }
    auto& block = blocks_.back();
    entry.offset = (blocks_.size() - 1) << 32 | block.size();
    block.insert(block.end(), ids, ids + entry.length);
    block.insert(block.end(), labels, labels + entry.length);
    entries_.push_back(entry);
  }

  void set_statistics(const DatasetStatistics& statistics) { statistics_ = statistics; }

 private:
  static constexpr size_t kBlock = size_t{1} << 20;
  std::vector<SampleEntry> entries_;
  std::vector<std::vector<int32_t>> blocks_;
};

class MemoryWriter : public TokenWriter {
 public:
  void append(SampleEntry entry, const int32_t* ids, const int32_t* labels) override { store_->append(entry, ids, labels); }
  std::shared_ptr<const TokenStore> finish(const DatasetStatistics& statistics) override {
    store_->set_statistics(statistics);
    return std::move(store_);
  }

 private:
  std::shared_ptr<MemoryStore> store_ = std::make_shared<MemoryStore>();
};

}  // namespace

std::unique_ptr<TokenWriter> memory_writer() { return std::make_unique<MemoryWriter>(); }

}  // namespace graft::data
