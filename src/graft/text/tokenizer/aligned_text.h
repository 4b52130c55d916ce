#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace graft::text::tok {

/// Bytes [begin, end) of the original text.
struct Origin {
  uint32_t begin, end;
};

/// Bytes [begin, end) of the text being worked on.
struct Range {
  uint32_t begin, end;
  uint32_t size() const { return end - begin; }
};

/// A text on its way through normalizers and pre-tokenizers. When tracked, every byte knows the original characters it came
/// from (always whole characters); when not, only the bytes are kept, which is what encoding without offsets needs.
class AlignedText {
 public:
  /// Empties the text and sets whether origins are kept.
  void clear(bool tracked);
  /// Becomes a copy of original bytes that begin at `offset` of the original text.
  void assign(std::string_view original, uint32_t offset, bool tracked);

  const std::string& bytes() const { return bytes_; }
  bool tracked() const { return tracked_; }
  uint32_t size() const { return static_cast<uint32_t>(bytes_.size()); }

  std::string_view view(Range range) const { return std::string_view(bytes_).substr(range.begin, range.size()); }
  /// What the byte came from; {0, 0} when not tracked.
  Origin origin(uint32_t byte) const { return tracked_ ? origins_[byte] : Origin{0, 0}; }
  /// What a range came from: from its first byte's begin to its last byte's end.
  Origin origin(Range range) const;

  void append(std::string_view bytes, Origin origin);
  void append(const AlignedText& source, Range range);
  void append(char byte, Origin origin);

 private:
  std::string bytes_;
  std::vector<Origin> origins_;
  bool tracked_ = false;
};

}  // namespace graft::text::tok
