#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "graft/data/token_store.h"

namespace graft::data {

/// The store for `key` from the cache directory, or made by `build` and left there for the next start. One process builds, others
/// that want the same key wait for it (flock on KEY.lock; where the file system has no locks both build, and the renames are atomic).
/// A damaged cache file is reported and built again. A directory that cannot be created or written to is reported, and `build` gets
/// a writer that keeps the tokens in memory. `build` fills the writer and returns the statistics.
std::shared_ptr<const TokenStore> cached_or_built(const std::filesystem::path& directory, const std::string& key,
                                                  const std::function<DatasetStatistics(TokenWriter&)>& build);

}  // namespace graft::data
