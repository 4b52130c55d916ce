#include "graft/app/cache_home.h"

#include <cstdlib>

namespace graft::app {

namespace fs = std::filesystem;

fs::path cache_home() {
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg != nullptr && *xdg != 0) return fs::path(xdg) / "graft";
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != 0) return fs::path(home) / ".cache/graft";
  return {};
}

fs::path cache_directory(const std::string& setting, const std::string& name) {
  if (setting == "none") return {};
  if (setting != "auto") return setting;
  const fs::path home = cache_home();
  return home.empty() ? home : home / name;
}

}  // namespace graft::app
