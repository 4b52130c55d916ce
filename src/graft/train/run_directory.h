#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "graft/base/files.h"
#include "graft/train/state.h"

namespace graft::train {

/// A checkpoint that was verified: its manifest holds and its state was read.
struct Checkpoint {
  std::filesystem::path path;
  TrainerState state;
};

/// A run directory (output_dir), locked by this process as long as the object lives.
///
///   .lock                     flock, with "pid host" as text for the next process's message; harmless when left behind
///   run.json                  the run's identity, and whether a checkpoint was ever saved
///   totals.json               what all starts took so far (RunTotals); replaced before each checkpoint
///   metrics.jsonl, log.txt, report.json, recipe*.yaml, events.out.tfevents.*
///   checkpoints/step-00000100/{weights, trainer_state.safetensors, state.json, manifest.json}
///   adapter/ (or model/)      the final weights
class RunDirectory {
 public:
  /// Creates the directory when needed, locks it, removes what a killed save left behind and moves aside what stands in a checkpoint's
  /// place without being a directory, so that the checkpoint of that step can be saved. InUseError (73) when another live process
  /// has it, when it holds a run of another identity, or files of graft's names without one.
  static std::shared_ptr<RunDirectory> open(const std::filesystem::path& path, const std::string& identity);
  /// For `resume`: UsageError (64) when the path does not exist, DataError (65) when it is not a run directory.
  static std::shared_ptr<RunDirectory> open_existing(const std::filesystem::path& path);
  /// Whether the directory holds the finished run of this identity. Takes no lock and changes nothing; false for whatever is damaged.
  static bool holds_finished_run(const std::filesystem::path& path, const std::string& identity);
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  const std::string& identity() const { return identity_; }
  std::filesystem::path metrics() const { return path_ / "metrics.jsonl"; }
  std::filesystem::path log() const { return path_ / "log.txt"; }
  std::filesystem::path totals() const { return path_ / "totals.json"; }
  std::filesystem::path report() const { return path_ / "report.json"; }
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }
  std::filesystem::path checkpoint(int64_t step) const;
  /// Step numbers of all directories named step-NNNNNNNN, newest first, whole or not.
  std::vector<int64_t> checkpoint_steps() const;

  /// Whether a run of this directory ended (its report.json says so).
  bool finished() const;
  /// Whether there is any, whole or not: a run to be continued.
  bool has_checkpoints() const { return !checkpoint_steps().empty(); }

  /// Whether a checkpoint was ever saved here, be it there or not.
  bool saved_checkpoints() const;
  /// Remembers that one was. Durable.
  void remember_checkpoints() const;

  /// The newest checkpoint of this run that is whole. Each newer one that is not is named in a warning with the reason. None when
  /// there is no checkpoint at all; DataError (65) when there are some and none is whole: never a silent restart. `check` throws a
  /// DataError for a state that this run cannot continue (one that was copied in from a run on other data): such a checkpoint is passed
  /// over as well, but when there is no other, the newest one's error is thrown.
  std::optional<Checkpoint> newest_valid_checkpoint(const std::function<void(const Checkpoint&)>& check = {}) const;

  /// Deletes checkpoints of this run older than the newest `keep` ones and not the best. Only directories with this run's identity
  /// in them are touched, and none newer than `step`, the one just saved. One that newest_valid_checkpoint passed over does not count as
  /// kept: it is of no use. A failure is a warning: nothing is lost by keeping more.
  void prune(int64_t step, int64_t keep, int64_t best_step) const;

 private:
  RunDirectory(std::filesystem::path path, FileDescriptor lock, std::string identity);
  std::filesystem::path path_;
  FileDescriptor lock_;
  std::string identity_;
  mutable std::set<int64_t> refused_;  // steps of checkpoints that were passed over; reading them is what finds out, hence mutable
};

}  // namespace graft::train
