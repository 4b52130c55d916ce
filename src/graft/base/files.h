#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace graft {

namespace fs = std::filesystem;

/// The whole file as bytes. IoError when it cannot be read; DataError when it is larger than `limit` bytes.
std::string read_file(const fs::path& path, uint64_t limit = uint64_t{1} << 31);

/// Writes, fsyncs and closes. The file is not atomic by itself: use it inside an AtomicDirectory, or use replace_file.
void write_file(const fs::path& path, std::string_view bytes);

/// Atomic replacement of one file: sibling temporary, fsync, rename, fsync of the parent.
void replace_file(const fs::path& path, std::string_view bytes);

/// fsync of a directory: makes a rename inside it durable.
void sync_directory(const fs::path& path);

/// IoError with errno's text and, for ENOSPC, EDQUOT and EFBIG, what to do.
[[noreturn]] void throw_io_error(const std::string& what, const fs::path& path, int error_number);

/// File descriptor that closes itself.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int number) : number_(number) {}
  FileDescriptor(FileDescriptor&& other) noexcept : number_(other.number_) { other.number_ = -1; }
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor();
  int get() const { return number_; }

 private:
  int number_ = -1;
};

/// Opens for reading; UsageError-free: throws IoError when that fails.
FileDescriptor open_for_reading(const fs::path& path);

/// Writes all bytes to the descriptor, retrying on EINTR and short writes.
void write_all(int descriptor, std::string_view bytes, const fs::path& path_for_errors);

}  // namespace graft
