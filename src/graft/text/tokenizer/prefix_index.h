#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace graft::text::tok {

/// Finds which of many strings a text begins with. The strings lie sorted; looking up narrows the range byte by byte.
class PrefixIndex {
 public:
  void add(std::string_view key, int32_t value);
  /// After the last add. False when a key occurs twice; `twice` is it.
  bool build(std::string* twice);
  bool empty() const { return entries_.empty(); }

  /// Calls visit(length, value) for each key that `text` begins with, shortest first.
  template <typename Visit>
  void prefixes(std::string_view text, Visit visit) const {
    if (text.empty()) return;
    auto [low, high] = by_first_byte_[static_cast<unsigned char>(text[0])];
    for (size_t depth = 1; low < high; ++depth) {
      if (high - low == 1) {  // one candidate left: compare it at once
        const Entry& entry = entries_[low];
        if (text.substr(0, entry.size) == key(entry)) visit(size_t{entry.size}, entry.value);
        return;
      }
      if (entries_[low].size == depth) {
        visit(depth, entries_[low].value);
        ++low;
      }
      if (depth == text.size()) return;
      narrow(&low, &high, depth, static_cast<unsigned char>(text[depth]));
    }
  }

  /// Whether some key begins with this byte.
  bool begins_with(char byte) const {
    const auto [low, high] = by_first_byte_[static_cast<unsigned char>(byte)];
    return low < high;
  }

 private:
  struct Entry {
    uint32_t offset, size;
    int32_t value;
  };
  std::string_view key(const Entry& entry) const { return std::string_view(bytes_).substr(entry.offset, entry.size); }
  void narrow(uint32_t* low, uint32_t* high, size_t depth, unsigned char byte) const;

  std::string bytes_;
  std::vector<Entry> entries_;
  std::array<std::pair<uint32_t, uint32_t>, 256> by_first_byte_{};
};

}  // namespace graft::text::tok
