#include "graft/app/packed_checksum.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "graft/data/checksum.h"
#include "graft/ops/parallel.h"

namespace graft::app {
namespace {

/// Stays in a core's own cache between the read and the sum.
constexpr size_t kPiece = size_t{1} << 18;
/// Fewer pieces than this are not worth another thread.
constexpr int64_t kGrain = 4;

size_t piece_count(size_t bytes) { return (bytes + kPiece - 1) / kPiece; }

/// Checksum takes multiples of 8 bytes: a tail is filled up with zeros. The header says how long the tensor is.
uint64_t piece_sum(std::string_view piece) {
  const size_t whole = piece.size() / 8 * 8, rest = piece.size() - whole;
  data::Checksum sum;
  sum.add(piece.data(), whole);
  char tail[8] = {};
  std::memcpy(tail, piece.data() + whole, rest);
  if (rest > 0) sum.add(tail, sizeof tail);
  return sum.value();
}

std::string text_of(const std::vector<uint64_t>& sums) {
  data::Checksum sum;
  sum.add(sums.data(), sums.size() * sizeof(uint64_t));
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(sum.value()));
  return text;
}

}  // namespace

std::string packed_checksum(const io::SafetensorsFile& file, const io::TensorEntry& entry) {
  const auto size = static_cast<size_t>(entry.end - entry.begin);
  std::vector<uint64_t> sums(piece_count(size));
  ops::parallel_for(static_cast<int64_t>(sums.size()), kGrain, [&](int64_t begin, int64_t end) {
    std::vector<char> piece(std::min(size, kPiece));
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      const size_t offset = i * kPiece, count = std::min(kPiece, size - offset);
      file.read(entry, offset, piece.data(), count);
      sums[i] = piece_sum({piece.data(), count});
    }
  });
  return text_of(sums);
}

std::string packed_checksum(std::string_view bytes) {
  std::vector<uint64_t> sums;
  for (size_t offset = 0; offset < bytes.size(); offset += kPiece) sums.push_back(piece_sum(bytes.substr(offset, kPiece)));
  return text_of(sums);
}

}  // namespace graft::app
