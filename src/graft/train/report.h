#pragma once

#include <filesystem>

#include "graft/train/observer.h"

namespace graft::train {

/// report.json: totals, best step, time and memory, and `"finished": true`. Other keys already in the file (what `plan` predicted) are
/// kept, so that predicted stands beside measured. Replaced atomically.
void write_report(const std::filesystem::path& path, const RunResult& result);

}  // namespace graft::train
