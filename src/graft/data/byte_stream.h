#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "graft/base/files.h"

namespace graft::data {

/// A file read once from front to back through one buffer of 1 MiB. A UTF-8 byte order mark at the start is skipped.
/// IoError when reading fails; DataError when the file begins like UTF-16.
class ByteStream {
 public:
  explicit ByteStream(const std::filesystem::path& path);

  /// The bytes that are there now and not yet taken; empty at the end of the file.
  std::string_view peek();
  /// Marks the first `count` bytes of peek() as taken.
  void take(size_t count) { begin_ += count; }
  const std::filesystem::path& path() const { return path_; }

 private:
  void refill();
  std::filesystem::path path_;
  FileDescriptor file_;
  std::vector<char> buffer_;
  size_t begin_ = 0, end_ = 0;
};

}  // namespace graft::data
