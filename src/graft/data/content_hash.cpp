#include "graft/data/content_hash.h"

#include <sys/stat.h>

#include <cerrno>
#include <chrono>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/json.h"
#include "graft/base/log.h"
#include "graft/base/sha256.h"
#include "graft/base/signals.h"

namespace graft::data {
namespace {

/// What identifies the bytes of a file without reading it.
Json stamp_of(const fs::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) throw_io_error("cannot read file", file, errno);
  return {{"path", fs::absolute(file).lexically_normal().string()},
          {"size", status.st_size},
          {"inode", status.st_ino},
          {"changed", {status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec}}};
}

bool settled(const Json& stamp) {
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  return stamp["changed"][0].get<int64_t>() + 2 < now && stamp["changed"][2].get<int64_t>() + 2 < now;
}

/// The remembered hash, or "" when there is none for this stamp. A damaged note is as good as none.
std::string remembered(const fs::path& note, const Json& stamp) {
  std::error_code ignored;
  if (!fs::exists(note, ignored)) return "";
  try {
    const Json json = read_json(note.string());
    if (json.is_object() && json.contains("stamp") && json["stamp"] == stamp && json.contains("sha256") && json["sha256"].is_string())
      return json["sha256"].get<std::string>();
  } catch (const Error&) {
  }
  return "";
}

}  // namespace

std::string content_hash(const fs::path& file, const fs::path& cache_directory) {
  const Json stamp = stamp_of(file);
  const fs::path note = cache_directory / (sha256(stamp["path"].get<std::string>()).substr(0, 32) + ".hash.json");
  if (!cache_directory.empty())
    if (auto known = remembered(note, stamp); known.size() == 64) return known;
  std::string hash = sha256_of_file(file, [] { stop_if_signalled("hashing the data"); });
  if (!cache_directory.empty() && settled(stamp) && stamp_of(file) == stamp) {
    try {
      replace_file(note, dump_json({{"stamp", stamp}, {"sha256", hash}}));
    } catch (const Error& error) {
      log::verbose(std::string("the hash of a data file could not be remembered: ") + error.message());
    }
  }
  return hash;
}

std::string file_stamp(const std::filesystem::path& file) { return dump_json(stamp_of(file)); }

}  // namespace graft::data
