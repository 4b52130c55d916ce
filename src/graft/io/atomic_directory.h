#pragma once

#include <filesystem>

namespace graft::io {

/// A directory that appears whole or not at all. Write into path() (a hidden sibling of the target, so the rename stays on one file
/// system); commit() fsyncs every file and directory, renames it to the target and fsyncs the parent. Without commit() the destructor
/// removes everything. A directory that exists at the target is replaced as a whole, in one step where the file system can exchange
/// two names, and by moving it aside where it cannot. What a killed process of this machine left behind for the same target is
/// removed (or put back) by the next one. IoError when something fails; the old target is then still there.
class AtomicDirectory {
 public:
  explicit AtomicDirectory(const std::filesystem::path& target);
  ~AtomicDirectory();
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;

  const std::filesystem::path& path() const { return temporary_; }
  void commit();

 private:
  std::filesystem::path target_, temporary_;
  bool committed_ = false;
};

}  // namespace graft::io
