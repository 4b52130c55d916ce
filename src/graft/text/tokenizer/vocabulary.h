#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace graft::text::tok {

/// Tokens and their ids, both ways. The strings lie in one block, so a vocabulary of 256 k tokens is a few allocations.
class Vocabulary {
 public:
  enum class Insertion { kDone, kTokenTwice, kIdTwice };

  void reserve(size_t tokens);
  /// id is at least 0. With kIdTwice or kTokenTwice nothing changes.
  Insertion insert(std::string_view token, int32_t id);

  std::optional<int32_t> find(std::string_view token) const;
  std::optional<std::string_view> token(int32_t id) const;

  size_t size() const { return entries_.size(); }
  /// One more than the largest id.
  int32_t id_limit() const { return static_cast<int32_t>(by_id_.size()); }

  /// Calls visit(token, id) for each, in the order of insertion.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (const Entry& entry : entries_) visit(text(entry), entry.id);
  }

 private:
  struct Entry {
    uint32_t offset, size;
    int32_t id;
  };
  std::string_view text(const Entry& entry) const { return std::string_view(bytes_).substr(entry.offset, entry.size); }
  size_t slot_of(std::string_view token) const;
  void grow(size_t slots);

  std::string bytes_;
  std::vector<Entry> entries_;
  std::vector<uint32_t> slots_;  ///< open addressing; index of the entry plus one, 0 when free
  std::vector<uint32_t> by_id_;  ///< the same, by id
};

}  // namespace graft::text::tok
