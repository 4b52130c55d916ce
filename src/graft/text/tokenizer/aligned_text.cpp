#include "graft/text/tokenizer/aligned_text.h"

#include "graft/text/tokenizer/unicode.h"

namespace graft::text::tok {

void AlignedText::clear(bool tracked) {
  bytes_.clear();
  origins_.clear();
  tracked_ = tracked;
}

void AlignedText::assign(std::string_view original, uint32_t offset, bool tracked) {
  clear(tracked);
  bytes_.assign(original);
  if (!tracked) return;
  origins_.reserve(original.size());
  for (size_t i = 0; i < original.size();) {
    const uint32_t size = character_size(original[i]);
    const auto begin = static_cast<uint32_t>(offset + i);
    origins_.insert(origins_.end(), size, Origin{begin, begin + size});
    i += size;
  }
}

Origin AlignedText::origin(Range range) const {
  if (!tracked_ || range.begin == range.end) return {0, 0};
  return {origins_[range.begin].begin, origins_[range.end - 1].end};
}

void AlignedText::append(std::string_view bytes, Origin origin) {
  bytes_.append(bytes);
  if (tracked_) origins_.insert(origins_.end(), bytes.size(), origin);
}

void AlignedText::append(const AlignedText& source, Range range) {
  bytes_.append(source.bytes_, range.begin, range.size());
  if (tracked_) origins_.insert(origins_.end(), source.origins_.begin() + range.begin, source.origins_.begin() + range.end);
}

void AlignedText::append(char byte, Origin origin) {
  bytes_.push_back(byte);
  if (tracked_) origins_.push_back(origin);
}

}  // namespace graft::text::tok
