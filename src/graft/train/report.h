#pragma once

#include <cstdint>
#include <filesystem>

#include "graft/train/observer.h"

namespace graft::train {

/// What all starts of a run took, up to the last save: what a resumed run's report adds its own to. In a file of its own, for a
/// checkpoint holds nothing that depends on the clock. Steps that were lost to a kill and done again count twice here, as they did in time.
struct RunTotals {
  double seconds = 0;           ///< of the training loop, evaluations and saves included
  double training_seconds = 0;  ///< of the steps alone
  int64_t trained_tokens = 0;   ///< of those steps
  int64_t peak_memory_bytes = 0;
};

/// totals.json. Replaced atomically.
void write_totals(const std::filesystem::path& path, const RunTotals& totals);

/// Zeros when there is no such file or it is damaged: the report is then that of the starts since.
RunTotals read_totals(const std::filesystem::path& path);

/// report.json: totals, best step, time and memory, and `"finished": true`. Other keys already in the file (what `plan` predicted) are
/// kept, so that predicted stands beside measured. Replaced atomically.
void write_report(const std::filesystem::path& path, const RunResult& result);

}  // namespace graft::train
