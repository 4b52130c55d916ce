#include "graft/io/atomic_directory.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/strings.h"

namespace graft::io {
namespace {

constexpr const char* kTemporary = ".tmp-";
constexpr const char* kAside = ".old-";

std::string host_name() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

fs::path parent_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

// ".NAME.tmp-HOST-PID-COUNT" beside NAME: the host, because process numbers mean nothing on another machine of a shared disk.
fs::path hidden_sibling(const fs::path& target, const char* kind) {
  static std::atomic<unsigned> counter{0};
  const std::string name =
      "." + target.filename().string() + kind + host_name() + "-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
  return parent_of(target) / name;
}

// The process in ".NAME.tmp-HOST-PID-COUNT", or 0 when the name is another's or another machine's.
pid_t owner_of(const std::string& name, const std::string& prefix) {
  const std::string full = prefix + host_name() + "-";
  if (!starts_with(name, full)) return 0;
  return static_cast<pid_t>(std::strtol(name.c_str() + full.size(), nullptr, 10));
}

bool is_dead(pid_t process) { return process > 0 && ::kill(process, 0) != 0 && errno == ESRCH; }

void remove_leftovers(const fs::path& target) {
  const std::string hidden = "." + target.filename().string();
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(parent_of(target), error)) {
    const std::string name = entry.path().filename().string();
    std::error_code ignored;
    if (is_dead(owner_of(name, hidden + kTemporary))) fs::remove_all(entry.path(), ignored);
    if (!is_dead(owner_of(name, hidden + kAside))) continue;
    if (fs::exists(fs::symlink_status(target, ignored)))
      fs::remove_all(entry.path(), ignored);
    else
      fs::rename(entry.path(), target, ignored);  // killed between its two renames
  }
}

void sync_file(const fs::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) throw_io_error("cannot open file", path, errno);
  if (::fsync(file.get()) != 0) throw_io_error("cannot flush file to disk", path, errno);
}

void sync_tree(const fs::path& directory) {
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_symlink()) continue;
    if (entry.is_directory())
      sync_directory(entry.path());
    else if (entry.is_regular_file())
      sync_file(entry.path());
  }
  sync_directory(directory);
}

}  // namespace

AtomicDirectory::AtomicDirectory(const fs::path& target) : target_(fs::absolute(target).lexically_normal()) {
  if (!target_.has_filename()) target_ = target_.parent_path();  // "out/" means out
  std::error_code error;
  fs::create_directories(parent_of(target_), error);
  if (error) throw_io_error("cannot create directory", parent_of(target_), error.value());
  if (const auto status = fs::status(target_, error); fs::exists(status) && !fs::is_directory(status))
    throw IoError("cannot create directory: a file of this name exists").at(target_.string()).hint("remove it or choose another name");
  remove_leftovers(target_);
  temporary_ = hidden_sibling(target_, kTemporary);
  if (::mkdir(temporary_.c_str(), 0777) != 0) throw_io_error("cannot create directory", temporary_, errno);
}

AtomicDirectory::~AtomicDirectory() {
  std::error_code ignored;
  if (!committed_) fs::remove_all(temporary_, ignored);
}

void AtomicDirectory::commit() {
  if (committed_) throw InternalError("commit() was called twice").at(target_.string());
  try {
    sync_tree(temporary_);
  } catch (const fs::filesystem_error& error) {
    throw_io_error("cannot flush directory to disk", temporary_, error.code().value());
  }
  // A rename onto an empty or absent directory, an exchange of two names, or (where that is not supported) two renames.
  fs::path old;
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
    if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR) throw_io_error("cannot rename into place", target_, errno);
    if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, target_.c_str(), RENAME_EXCHANGE) == 0) {
      old = temporary_;
    } else {
      old = hidden_sibling(target_, kAside);
      if (::rename(target_.c_str(), old.c_str()) != 0) throw_io_error("cannot move the old directory aside", target_, errno);
      if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
        const int error_number = errno;
        (void)::rename(old.c_str(), target_.c_str());
        throw_io_error("cannot rename into place", target_, error_number);
      }
    }
  }
  committed_ = true;
  sync_directory(parent_of(target_));
  std::error_code ignored;
  if (!old.empty()) fs::remove_all(old, ignored);
}

}  // namespace graft::io
