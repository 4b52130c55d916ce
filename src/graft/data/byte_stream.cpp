#include "graft/data/byte_stream.h"

#include <unistd.h>

#include <cerrno>

#include "graft/base/error.h"
#include "graft/base/strings.h"

namespace graft::data {

ByteStream::ByteStream(const std::filesystem::path& path) : path_(path), file_(open_for_reading(path)), buffer_(size_t{1} << 20) {
  const std::string_view start = peek();
  if (starts_with(start, "\xEF\xBB\xBF")) take(3);
  if (starts_with(start, "\xFF\xFE") || starts_with(start, "\xFE\xFF"))
    throw DataError("the file is UTF-16, expected UTF-8").at(path.string()).hint("convert it: iconv -f UTF-16 -t UTF-8");
}

std::string_view ByteStream::peek() {
  if (begin_ == end_) refill();
  return {buffer_.data() + begin_, end_ - begin_};
}

void ByteStream::refill() {
  begin_ = end_ = 0;
  while (true) {
    const ssize_t count = ::read(file_.get(), buffer_.data(), buffer_.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_io_error("cannot read file", path_, errno);
    end_ = static_cast<size_t>(count);
    return;
  }
}

}  // namespace graft::data
