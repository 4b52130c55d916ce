#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/data/cache_file.h"
#include "graft/data/checksum.h"
#include "graft/data/token_store.h"

namespace graft::data {
namespace {

class Mapping {
 public:
  Mapping(const FileDescriptor& file, size_t size, const fs::path& path) : size_(size) {
    address_ = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
    if (address_ == MAP_FAILED) throw_io_error("cannot map the data cache into memory", path, errno);
  }
  ~Mapping() { ::munmap(address_, size_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  const char* data() const { return static_cast<const char*>(address_); }
  size_t size() const { return size_; }

 private:
  void* address_;
  size_t size_;
};

class MappedStore : public TokenStore {
 public:
  MappedStore(const FileDescriptor& file, size_t size, const fs::path& path, const std::string& key) : mapping_(file, size, path) {
    check_header(key);
    const size_t token_bytes = 8 * header_.tokens, entry_bytes = sizeof(SampleEntry) * header_.samples;
    tokens_ = reinterpret_cast<const int32_t*>(mapping_.data() + sizeof(CacheHeader));
    entries_ = reinterpret_cast<const SampleEntry*>(mapping_.data() + sizeof(CacheHeader) + token_bytes);
    Checksum sum;
    sum.add(mapping_.data() + sizeof(CacheHeader), mapping_.size() - sizeof(CacheHeader));
    if (sum.value() != header_.body_checksum) throw DataError("its checksum does not match");
    statistics_ = statistics_from_json({mapping_.data() + sizeof(CacheHeader) + token_bytes + entry_bytes, header_.statistics_bytes});
    check_entries();
  }

  const SampleEntry& entry(int64_t index) const override { return entries_[index]; }
  int64_t size() const override { return static_cast<int64_t>(header_.samples); }
  const int32_t* ids(int64_t index) const override { return tokens_ + entries_[index].offset; }

 private:
  void check_header(const std::string& key) {
    if (mapping_.size() < sizeof(CacheHeader)) throw DataError("it is cut off");
    std::memcpy(&header_, mapping_.data(), sizeof header_);
    if (std::memcmp(header_.magic, kCacheMagic, sizeof header_.magic) != 0) throw DataError("it does not begin like a data cache");
    if (header_checksum(header_) != header_.header_checksum) throw DataError("its header is damaged");
    if (std::string_view(header_.key, sizeof header_.key) != key) throw DataError("it was made from other data");
    // Each part alone must fit before their sum is formed: no overflow from a number in a file.
    const uint64_t room = mapping_.size() - sizeof(CacheHeader);
    if (header_.tokens > room / 8 || header_.samples > room / sizeof(SampleEntry) || header_.statistics_bytes > room ||
        8 * header_.tokens + sizeof(SampleEntry) * header_.samples + header_.statistics_bytes != room)
      throw DataError("its size does not match its header");
  }

  void check_entries() const {
    uint64_t offset = 0;
    for (uint64_t i = 0; i < header_.samples; ++i) {
      if (entries_[i].offset != offset) throw DataError("its index is damaged");
      offset += uint64_t{2} * entries_[i].length;
    }
    if (offset != 2 * header_.tokens) throw DataError("its index is damaged");
  }

  Mapping mapping_;
  CacheHeader header_{};
  const int32_t* tokens_ = nullptr;
  const SampleEntry* entries_ = nullptr;
};

}  // namespace

std::shared_ptr<const TokenStore> open_cache_file(const fs::path& path, const std::string& key) {
  const int number = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (number < 0 && (errno == ENOENT || errno == ENOTDIR)) return nullptr;
  if (number < 0) throw_io_error("cannot open the data cache", path, errno);
  const FileDescriptor file(number);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw_io_error("cannot read the data cache", path, errno);
  if (!S_ISREG(status.st_mode) || status.st_size == 0) throw DataError("it is not a file or it is empty");
  return std::make_shared<MappedStore>(file, static_cast<size_t>(status.st_size), path, key);
}

}  // namespace graft::data
