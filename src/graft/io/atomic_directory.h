#pragma once

#include <filesystem>

namespace graft::io {

/// A directory that appears whole or not at all. Write into path(); commit() fsyncs every file and the directory, renames it to
/// the target and fsyncs the parent. Without commit() the destructor removes everything.
/// A target that exists is replaced: it is moved aside first and removed after the rename.
class AtomicDirectory {
 public:
  explicit AtomicDirectory(std::filesystem::path target);
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
