#include "graft/data/cache_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <system_error>
#include <thread>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/log.h"
#include "graft/base/signals.h"
#include "graft/base/strings.h"

namespace graft::data {
namespace {

/// An exclusive lock on a file, released when this goes (also when the process is killed).
class FileLock {
 public:
  explicit FileLock(FileDescriptor file) : file_(std::move(file)) {
    bool told = false;
    while (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno != EWOULDBLOCK) return;  // a file system without locks
      if (!told) log::info("another process is tokenising the same data; waiting for it");
      told = true;
      stop_if_signalled("waiting for the data cache");
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    held_ = true;
  }
  bool held() const { return held_; }

 private:
  FileDescriptor file_;
  bool held_ = false;
};

std::shared_ptr<const TokenStore> open_if_sound(const fs::path& path, const std::string& key) {
  try {
    return open_cache_file(path, key);
  } catch (const DataError& error) {
    log::warning("the data cache " + path.string() + " cannot be used: " + error.message() + "; tokenising again");
    return nullptr;
  }
}

/// What processes that were killed while writing left behind. Only under the lock.
void remove_leftovers(const fs::path& directory, const std::string& key) {
  std::error_code ignored;
  for (auto entry = fs::directory_iterator(directory, ignored); !ignored && entry != fs::directory_iterator(); entry.increment(ignored)) {
    std::error_code unlinked;
    if (starts_with(entry->path().filename().string(), key + ".tokens.tmp-")) fs::remove(entry->path(), unlinked);
  }
}

std::shared_ptr<const TokenStore> build_in_memory(const std::function<DatasetStatistics(TokenWriter&)>& build) {
  const auto writer = memory_writer();
  const auto statistics = build(*writer);
  return writer->finish(statistics);
}

}  // namespace

std::shared_ptr<const TokenStore> cached_or_built(const fs::path& directory, const std::string& key,
                                                  const std::function<DatasetStatistics(TokenWriter&)>& build) {
  if (directory.empty()) return build_in_memory(build);
  const fs::path path = directory / (key + ".tokens");
  if (auto store = open_if_sound(path, key)) return store;

  std::error_code failed;
  fs::create_directories(directory, failed);
  FileDescriptor lock_file(::open((directory / (key + ".lock")).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (lock_file.get() < 0) {
    log::warning("the data cache directory " + directory.string() + " cannot be written to (" + std::strerror(errno) +
                 "); tokens stay in memory");
    return build_in_memory(build);
  }
  const FileLock lock(std::move(lock_file));
  if (auto store = open_if_sound(path, key)) return store;  // made by the process that was waited for
  if (lock.held()) remove_leftovers(directory, key);
  try {
    const auto writer = cache_file_writer(path, key);
    const auto statistics = build(*writer);
    return writer->finish(statistics);
  } catch (const CacheWriteError& error) {  // a full disk, say: the run needs the tokens, not the file
    log::warning(std::string("the data cache cannot be written: ") + error.message() + " (" + error.where() +
                 "); tokenising again, tokens stay in memory");
  }
  return build_in_memory(build);
}

}  // namespace graft::data
