#include "graft/base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "graft/base/error.h"

namespace graft {

void throw_io_error(const std::string& what, const fs::path& path, int error_number) {
  IoError error(what + ": " + std::strerror(error_number));
  error.at(fs::absolute(path).string());
  if (error_number == ENOSPC || error_number == EDQUOT)
    error.hint("free some space, then run the same command again; nothing saved before is lost");
  if (error_number == EFBIG) error.hint("the limit on file sizes is too low for this file (ulimit -f)");
  throw error;
}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(number_, other.number_);
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (number_ >= 0) ::close(number_);
}

FileDescriptor open_for_reading(const fs::path& path) {
  const int number = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (number < 0) throw_io_error("cannot open file", path, errno);
  return FileDescriptor(number);
}

std::string read_file(const fs::path& path, uint64_t limit) {
  const auto file = open_for_reading(path);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw_io_error("cannot read file", path, errno);
  if (S_ISDIR(status.st_mode)) throw_io_error("cannot read file", path, EISDIR);
  if (static_cast<uint64_t>(status.st_size) > limit)
    throw DataError("file is " + std::to_string(status.st_size) + " bytes, more than the limit of " + std::to_string(limit))
        .at(path.string());
  std::string bytes;
  bytes.reserve(static_cast<size_t>(status.st_size));
  char buffer[1 << 16];
  while (true) {
    const ssize_t count = ::read(file.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_io_error("cannot read file", path, errno);
    if (count == 0) return bytes;
    bytes.append(buffer, static_cast<size_t>(count));
    if (bytes.size() > limit) throw DataError("file is larger than the limit of " + std::to_string(limit) + " bytes").at(path.string());
  }
}

void write_all(int descriptor, std::string_view bytes, const fs::path& path_for_errors) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_io_error("cannot write file", path_for_errors, errno);
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

void write_file(const fs::path& path, std::string_view bytes) {
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (file.get() < 0) throw_io_error("cannot create file", path, errno);
  write_all(file.get(), bytes, path);
  if (::fsync(file.get()) != 0) throw_io_error("cannot flush file to disk", path, errno);
}

void sync_directory(const fs::path& path) {
  const FileDescriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0) throw_io_error("cannot open directory", path, errno);
  if (::fsync(directory.get()) != 0 && errno != EINVAL) throw_io_error("cannot flush directory to disk", path, errno);
}

void replace_file(const fs::path& path, std::string_view bytes) {
  fs::path temporary = path;
  temporary += ".tmp-" + std::to_string(::getpid());
  try {
    write_file(temporary, bytes);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) throw_io_error("cannot rename into place", path, errno);
  sync_directory(path.has_parent_path() ? path.parent_path() : fs::path("."));
}

}  // namespace graft
