#include "graft/text/tokenizer/prefix_index.h"

#include <algorithm>

namespace graft::text::tok {

void PrefixIndex::add(std::string_view key, int32_t value) {
  if (key.empty()) return;
  entries_.push_back({static_cast<uint32_t>(bytes_.size()), static_cast<uint32_t>(key.size()), value});
  bytes_.append(key);
}

bool PrefixIndex::build(std::string* twice) {
  std::sort(entries_.begin(), entries_.end(), [this](const Entry& a, const Entry& b) { return key(a) < key(b); });
  for (size_t i = 1; i < entries_.size(); ++i) {
    if (key(entries_[i - 1]) == key(entries_[i])) {
      *twice = std::string(key(entries_[i]));
      return false;
    }
  }
  for (size_t i = entries_.size(); i-- > 0;) {
    auto& [low, high] = by_first_byte_[static_cast<unsigned char>(bytes_[entries_[i].offset])];
    if (low == high) high = static_cast<uint32_t>(i + 1);
    low = static_cast<uint32_t>(i);
  }
  return true;
}

void PrefixIndex::narrow(uint32_t* low, uint32_t* high, size_t depth, unsigned char byte) const {
  const auto at = [&](const Entry& entry) { return static_cast<unsigned char>(bytes_[entry.offset + depth]); };
  const auto begin = entries_.begin() + *low, end = entries_.begin() + *high;
  const auto first = std::lower_bound(begin, end, byte, [&](const Entry& entry, unsigned char value) { return at(entry) < value; });
  const auto last = std::upper_bound(first, end, byte, [&](unsigned char value, const Entry& entry) { return value < at(entry); });
  *low = static_cast<uint32_t>(first - entries_.begin());
  *high = static_cast<uint32_t>(last - entries_.begin());
}

}  // namespace graft::text::tok
