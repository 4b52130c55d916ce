#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "graft/base/error.h"
#include "graft/data/dataset.h"

namespace graft::data {

/// Where a sample's tokens are and which row it came from. Written to cache files as it is.
struct SampleEntry {
  uint64_t offset = 0;  ///< meaning is the store's own
  uint64_t line = 0;
  int64_t element = -1;
  uint32_t length = 0;
  uint32_t file = 0;  ///< number of the file within the source
};
static_assert(sizeof(SampleEntry) == 32);

/// The tokenised samples of one source, immutable.
class TokenStore {
 public:
  virtual ~TokenStore() = default;
  virtual const SampleEntry& entry(int64_t index) const = 0;
  virtual int64_t size() const = 0;
  /// entry.length ids; labels follow them.
  virtual const int32_t* ids(int64_t index) const = 0;
  const int32_t* labels(int64_t index) const { return ids(index) + entry(index).length; }
  const DatasetStatistics& statistics() const { return statistics_; }

 protected:
  DatasetStatistics statistics_;
};

/// Takes samples one after the other and becomes a store.
class TokenWriter {
 public:
  virtual ~TokenWriter() = default;
  /// ids and labels: length numbers each. entry.offset is filled in here.
  virtual void append(SampleEntry entry, const int32_t* ids, const int32_t* labels) = 0;
  virtual std::shared_ptr<const TokenStore> finish(const DatasetStatistics& statistics) = 0;
};

/// Keeps tokens in memory: 8 bytes per token and 32 per sample.
std::unique_ptr<TokenWriter> memory_writer();

/// The cache itself could not be written (a full disk, say), whatever the state of the data.
class CacheWriteError : public IoError {
 public:
  explicit CacheWriteError(const IoError& error) : IoError(error) {}
};

/// Writes a cache file: temporary beside it, fsync, rename. `key` is stored and compared when the file is opened. CacheWriteError when
/// the disk is full; the temporary is removed.
std::unique_ptr<TokenWriter> cache_file_writer(const std::filesystem::path& path, const std::string& key);

/// Maps a cache file. nullptr when there is none; throws DataError with the reason when it is damaged or of another key.
std::shared_ptr<const TokenStore> open_cache_file(const std::filesystem::path& path, const std::string& key);

}  // namespace graft::data
