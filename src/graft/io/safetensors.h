#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace graft::io {

/// Storage types of the safetensors format that graft reads. Names on disk: to_string (F32, BF16, F8_E4M3, …).
enum class DType { kF64, kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU64, kU32, kU16, kU8, kBool, kF8E4M3, kF8E5M2, kF8E8M0 };
const char* to_string(DType dtype);
std::optional<DType> parse_dtype(std::string_view name);
int64_t size_of(DType dtype);  ///< bytes of one element

/// One line of a file's header. begin/end are offsets into the data section.
struct TensorEntry {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;
  int64_t numel() const;
};

/// kForeign (base models): accept what the reference reader accepts, but never a duplicate, empty or NUL-carrying tensor name, more
/// than 64 dimensions or 10^6 tensors; unknown fields are warned about. The file is mapped: another process that cuts it short while
/// it is in use raises SIGBUS here (base/lost_mapping.h), so models must not be rewritten in place (bytes() notices an earlier change).
/// kOwn (adapters, checkpoints): also refuse unknown fields, duplicate metadata keys, a header over 16 MiB, names over 512 bytes
/// and more than 16 dimensions. Data is read into memory at the first bytes(), so a file that shrinks is a DataError and no signal.
enum class Strictness { kForeign, kOwn };

/// A checked safetensors file. Nothing is allocated from a number in the file before it was compared with the file's length.
/// DataError names the file, the tensor and the rule that is broken (header size, truncation, overlap, hole, overflow, size mismatch,
/// duplicate, dtype, UTF-8, header JSON, …); IoError when it cannot be read. Thread-safe.
class SafetensorsFile {
 public:
  static SafetensorsFile open(const std::filesystem::path& path, Strictness strictness = Strictness::kForeign);
  /// The same with an explicit choice between mapping and reading into memory.
  enum class Access { kMapped, kInMemory };
  static SafetensorsFile open(const std::filesystem::path& path, Strictness strictness, Access access);
  ~SafetensorsFile();
  SafetensorsFile(SafetensorsFile&&) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept;

  const std::filesystem::path& path() const;
  const std::vector<TensorEntry>& entries() const;  ///< in order of their data
  const TensorEntry* find(std::string_view name) const;
  const std::map<std::string, std::string>& metadata() const;
  /// The tensor's bytes inside the mapping (may be unaligned). Valid while this object or a copy of mapping() lives.
  /// DataError when the file changed since it was opened.
  std::string_view bytes(const TensorEntry& entry) const;
  /// Copies bytes [offset, offset + size) of the tensor without mapping the file: of a file that changed or was cut short meanwhile
  /// this is a DataError and no signal. For several threads at a time.
  void read(const TensorEntry& entry, uint64_t offset, char* into, uint64_t size) const;
  /// The tensor was copied and is not needed soon: gives its mapped pages back to the system. Later reads fetch them again.
  void release(const TensorEntry& entry) const;
  /// Keeps the mapping alive; also what a zero-copy tensor holds on to.
  std::shared_ptr<const void> mapping() const;
  uint64_t file_size() const;

 private:
  struct State;
  explicit SafetensorsFile(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

/// Streamed writer, byte-equal to the reference implementation: tensors sorted by dtype (the format's descending order) then name,
/// header padded with spaces to 8 bytes, `__metadata__` first. Declare everything, then give the bytes in order().
/// Space is reserved first, so that a full disk fails at once (IoError); the bytes go to a sibling temporary which finish() renames,
/// so a file that is being read or mapped under the same name stays whole. Without finish() nothing is left behind.
class SafetensorsWriter {
 public:
  /// begin/end of the declared entries are ignored and computed. Duplicate names are an InternalError.
  SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorEntry> tensors,
                    const std::map<std::string, std::string>& metadata = {{"format", "pt"}});
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;

  const std::vector<TensorEntry>& order() const;  ///< the order in which bytes must be appended
  /// Appends the next bytes of the data section (a tensor, or a piece of one).
  void append(std::string_view bytes);
  /// What was appended goes to the disk now, so that finish() has little left to wait for.
  void sync();
  /// Checks that every declared byte was given (InternalError), fsyncs, renames into place and fsyncs the directory.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace graft::io
