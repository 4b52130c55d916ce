#include "graft/app/packed_writer.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <map>
#include <optional>

#include "graft/adapters/four_bit_files.h"
#include "graft/app/packed_checksum.h"
#include "graft/app/packed_key.h"
#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/log.h"
#include "graft/base/signals.h"
#include "graft/base/strings.h"
#include "graft/io/atomic_directory.h"
#include "graft/io/safetensors.h"
#include "graft/io/tensor_file.h"

namespace graft::app {
namespace {

constexpr size_t kPiece = size_t{16} << 20;           ///< between two looks at `stop`
constexpr uint64_t kSyncEvery = uint64_t{256} << 20;  ///< so that no fsync takes long
constexpr double kSpare = 256.0 * (1 << 20);          ///< left free on the disk

/// Held while its descriptor is open; a killed process lets go of it.
enum class Lock { kHeld, kBusy, kUnknown };
Lock lock(const FileDescriptor& file) {
  if (file.get() < 0) return Lock::kUnknown;
  if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return Lock::kHeld;
  return errno == EWOULDBLOCK ? Lock::kBusy : Lock::kUnknown;  // a file system without locks
}

struct Contents {
  std::vector<io::TensorEntry> entries;
  std::map<std::string, at::Tensor> tensors;  // on whatever device they are
  double bytes = 0;
};

Contents contents_of(const PackedList& weights) {
  Contents contents;
  for (const auto& [path, tensor] : weights) {
    for (auto& [name, value] : detail::four_bit_parts(tensor, path)) {
      contents.entries.push_back({name, io::to_dtype(value.scalar_type()), value.sizes().vec(), 0, 0});
      contents.bytes += static_cast<double>(value.nbytes());
      contents.tensors.emplace(name, std::move(value));
    }
  }
  return contents;
}

bool is_whole(const PackedTarget& target) {
  if (target.replace || !fs::exists(target.directory)) return false;
  try {
    open_packed(target.directory, target.key);
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// A run that was told to end does not stay for its cache.
bool is_stopped(const std::atomic<bool>& stop) { return stop || SignalFlag::received() != 0; }

/// The checksums of what was written; nothing when stopped.
std::optional<PackedChecksums> write_weights(const fs::path& path, const Contents& contents, const std::atomic<bool>& stop) {
  PackedChecksums checksums;
  io::SafetensorsWriter writer(path, contents.entries);
  uint64_t unsynced = 0;
  for (const auto& entry : writer.order()) {
    const at::Tensor whole = contents.tensors.at(entry.name).cpu().contiguous();
    const std::string_view bytes(static_cast<const char*>(whole.const_data_ptr()), whole.nbytes());
    checksums.emplace(entry.name, packed_checksum(bytes));
    for (size_t begin = 0; begin < bytes.size(); begin += kPiece) {
      if (is_stopped(stop)) return std::nullopt;
      const auto piece = bytes.substr(begin, kPiece);
      writer.append(piece);
      unsynced += piece.size();
      if (unsynced < kSyncEvery) continue;
      writer.sync();
      unsynced = 0;
    }
  }
  writer.finish();
  if (is_stopped(stop)) return std::nullopt;
  return checksums;
}

bool write_under_lock(const PackedTarget& target, const PackedList& weights, const std::atomic<bool>& stop) {
  const auto contents = contents_of(weights);
  const auto room = static_cast<double>(fs::space(target.directory.parent_path()).available);
  if (room < contents.bytes + kSpare) {
    log::warning("the 4-bit weights are not kept for the next start: they take " + format_bytes(contents.bytes) + " and the disk of " +
                 target.directory.parent_path().string() + " has " + format_bytes(room) + " free (quant.cache names another directory)");
    return false;
  }
  log::info("keeping the 4-bit weights (" + format_bytes(contents.bytes) + ") for the next start in " + target.directory.string());
  io::AtomicDirectory directory(target.directory);
  const auto file = directory.path() / "model.safetensors";
  auto checksums = write_weights(file, contents, stop);
  if (!checksums) return false;
  const auto length = static_cast<int64_t>(fs::file_size(file));
  write_file(directory.path() / "config.json",
             dump_json(packed_manifest_json({target.key, target.model, length, *std::move(checksums)}), 2) + "\n");
  directory.commit();
  log::verbose("the 4-bit weights are kept in " + target.directory.string());
  return true;
}

}  // namespace

bool write_packed(const PackedTarget& target, const PackedList& weights, const std::atomic<bool>& stop) {
  try {
    fs::create_directories(target.directory.parent_path());
    const FileDescriptor file(::open((target.directory.string() + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (file.get() < 0) throw_io_error("cannot create file", target.directory.string() + ".lock", errno);
    if (lock(file) == Lock::kBusy) {
      log::info("another process is keeping the same 4-bit weights for the next start");
      return false;
    }
    if (is_whole(target)) return false;  // written while this process quantized
    return write_under_lock(target, weights, stop);
  } catch (const std::exception& error) {
    // The run goes on: a cache is a convenience. Error::what() is the whole block; its first line says what happened.
    const std::string text = error.what();
    log::warning("the 4-bit weights are not kept for the next start: " + text.substr(0, text.find('\n')));
    return false;
  }
}

PackedWriter::PackedWriter(PackedTarget target, PackedList weights)
    : thread_([this, target = std::move(target), weights = std::move(weights)] { write_packed(target, weights, stop_); }) {}

PackedWriter::~PackedWriter() {
  stop_ = true;
  wait();
}

void PackedWriter::wait() {
  if (thread_.joinable()) thread_.join();
}

}  // namespace graft::app
