#pragma once

#include <filesystem>
#include <string>

namespace graft::app {

/// $XDG_CACHE_HOME/graft, else ~/.cache/graft; "" when neither is known.
std::filesystem::path cache_home();

/// What a recipe's `cache: auto | none | DIR` comes to: `name` in cache_home(), "", or the directory.
std::filesystem::path cache_directory(const std::string& setting, const std::string& name);

}  // namespace graft::app
