#include "graft/io/tensor_read.h"

#include <ATen/ops/empty.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <array>
#include <optional>

#include "graft/base/error.h"
#include "graft/ops/parallel.h"

namespace graft::io {
namespace {

/// What is shared out among the threads: large beside a system call, small beside a piece.
constexpr int64_t kUnit = int64_t{1} << 17;
/// Fewer units than this are not worth another thread.
constexpr int64_t kGrain = 4;
/// Of a pinned buffer: filled and copied in less than a millisecond, so that little waits at a tensor's end.
constexpr int64_t kPiece = int64_t{8} << 20;

void read_parallel(const SafetensorsFile& file, const TensorEntry& entry, int64_t offset, int64_t size, char* into) {
  ops::parallel_for((size + kUnit - 1) / kUnit, kGrain, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kUnit, last = std::min(end * kUnit, size);
    file.read(entry, static_cast<uint64_t>(offset + first), into + first, static_cast<uint64_t>(last - first));
  });
}

/// Host memory that is copied from while the next piece is read.
struct Buffer {
  at::Tensor memory;
  std::optional<c10::Event> copied;

  void wait() const {
    if (copied) copied->synchronize();
  }
};

void read_to_device(const SafetensorsFile& file, const TensorEntry& entry, const at::Tensor& into) {
  const auto stream = c10::impl::VirtualGuardImpl(into.device().type()).getStream(into.device());
  const int64_t size = into.numel(), piece = std::min(size, kPiece);
  std::array<Buffer, 2> buffers;
  for (int64_t offset = 0, i = 0; offset < size; offset += piece, ++i) {
    Buffer& buffer = buffers[static_cast<size_t>(i % 2)];
    buffer.wait();
    if (!buffer.memory.defined()) buffer.memory = at::empty({piece}, at::TensorOptions(at::kByte).pinned_memory(true));
    const int64_t count = std::min(piece, size - offset);
    read_parallel(file, entry, offset, count, static_cast<char*>(buffer.memory.mutable_data_ptr()));
    into.narrow(0, offset, count).copy_(buffer.memory.narrow(0, 0, count), /*non_blocking=*/true);
    if (!buffer.copied) buffer.copied.emplace(into.device().type());
    buffer.copied->record(stream);
  }
  for (const Buffer& buffer : buffers) buffer.wait();
}

}  // namespace

void read_into(const SafetensorsFile& file, const TensorEntry& entry, const at::Tensor& into) {
  if (!into.is_contiguous() || into.nbytes() != entry.end - entry.begin)
    throw InternalError("read_into: the memory does not fit the tensor").at(file.path().string() + ": " + entry.name);
  if (into.numel() == 0) return;
  const at::Tensor bytes = into.detach().view({-1}).view(at::kByte);
  if (!into.device().is_cpu()) return read_to_device(file, entry, bytes);
  read_parallel(file, entry, 0, bytes.numel(), static_cast<char*>(bytes.mutable_data_ptr()));
}

at::Tensor read_bytes(const SafetensorsFile& file, const TensorEntry& entry, at::Device device) {
  at::Tensor bytes = at::empty({static_cast<int64_t>(entry.end - entry.begin)}, at::TensorOptions(at::kByte).device(device));
  read_into(file, entry, bytes);
  return bytes;
}

}  // namespace graft::io
