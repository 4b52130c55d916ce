#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "graft/base/files.h"
#include "graft/data/cache_file.h"
#include "graft/data/checksum.h"
#include "graft/data/token_store.h"

namespace graft::data {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

/// Runs `work`; what fails in it is the cache's own failure.
template <class Work>
auto writing(const Work& work) {
  try {
    return work();
  } catch (const IoError& error) {
    throw CacheWriteError(error);
  }
}

class CacheFileWriter : public TokenWriter {
 public:
  CacheFileWriter(const fs::path& path, const std::string& key) : path_(path), temporary_(path), key_(key) {
    temporary_ += ".tmp-" + std::to_string(::getpid());
    file_ = FileDescriptor(::open(temporary_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (file_.get() < 0) throw_io_error("cannot create the data cache", temporary_, errno);
    buffer_.assign(sizeof(CacheHeader), '\0');  // its place; written last, so that an unfinished file has no magic
  }

  ~CacheFileWriter() override {
    if (!finished_) ::unlink(temporary_.c_str());
  }

  void append(SampleEntry entry, const int32_t* ids, const int32_t* labels) override {
    entry.offset = offset_;
    entries_.push_back(entry);
    writing([&] {
      write(ids, size_t{4} * entry.length);
      write(labels, size_t{4} * entry.length);
    });
    offset_ += uint64_t{2} * entry.length;
  }

  std::shared_ptr<const TokenStore> finish(const DatasetStatistics& statistics) override {
    writing([&] { put_into_place(statistics); });
    return open_cache_file(path_, key_);
  }

 private:
  void put_into_place(const DatasetStatistics& statistics) {
    write(entries_.data(), entries_.size() * sizeof(SampleEntry));
    std::string json = statistics_to_json(statistics);
    json.resize((json.size() + 7) / 8 * 8, ' ');
    write(json.data(), json.size());
    flush();
    write_header(json.size());
    if (::fsync(file_.get()) != 0) throw_io_error("cannot flush the data cache to disk", temporary_, errno);
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw_io_error("cannot rename the data cache into place", path_, errno);
    finished_ = true;
    sync_directory(path_.parent_path());
  }

  void write(const void* bytes, size_t size) {
    buffer_.append(static_cast<const char*>(bytes), size);
    if (buffer_.size() >= kBufferBytes) flush();
  }

  void flush() {
    const size_t header = at_start_ ? sizeof(CacheHeader) : 0;
    at_start_ = false;
    // Ids alone may end at 4 bytes, but only whole samples (8 bytes a token) are in the buffer up to the last 8-byte border.
    const size_t whole = header + (buffer_.size() - header) / 8 * 8;
    sum_.add(buffer_.data() + header, whole - header);
    write_all(file_.get(), std::string_view(buffer_).substr(0, whole), temporary_);
    buffer_.erase(0, whole);
  }

  void write_header(size_t statistics_bytes) {
    CacheHeader header{};
    std::memcpy(header.magic, kCacheMagic, sizeof header.magic);
    std::memcpy(header.key, key_.data(), std::min(key_.size(), sizeof header.key));
    header.tokens = offset_ / 2;
    header.samples = entries_.size();
    header.statistics_bytes = statistics_bytes;
    header.body_checksum = sum_.value();
    header.header_checksum = header_checksum(header);
    if (::lseek(file_.get(), 0, SEEK_SET) != 0) throw_io_error("cannot write the data cache", temporary_, errno);
    write_all(file_.get(), {reinterpret_cast<const char*>(&header), sizeof header}, temporary_);
  }

  fs::path path_, temporary_;
  std::string key_;
  FileDescriptor file_;
  std::string buffer_;
  std::vector<SampleEntry> entries_;
  Checksum sum_;
  uint64_t offset_ = 0;
  bool at_start_ = true, finished_ = false;
};

}  // namespace

std::unique_ptr<TokenWriter> cache_file_writer(const fs::path& path, const std::string& key) {
  return writing([&] { return std::make_unique<CacheFileWriter>(path, key); });
}

}  // namespace graft::data
