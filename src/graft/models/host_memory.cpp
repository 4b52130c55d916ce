#include "graft/models/host_memory.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace graft::models {
namespace {

/// A control group's limit; "max" and a missing file mean none.
uint64_t limit_in(const char* path) {
  std::ifstream file(path);
  uint64_t bytes = 0;
  return file >> bytes && bytes > 0 ? bytes : UINT64_MAX;
}

}  // namespace

uint64_t host_memory_limit() {
  const long pages = ::sysconf(_SC_PHYS_PAGES), size = ::sysconf(_SC_PAGESIZE);
  if (pages <= 0 || size <= 0) return 0;
  const uint64_t physical = static_cast<uint64_t>(pages) * static_cast<uint64_t>(size);
  return std::min({physical, limit_in("/sys/fs/cgroup/memory.max"), limit_in("/sys/fs/cgroup/memory/memory.limit_in_bytes")});
}

}  // namespace graft::models
