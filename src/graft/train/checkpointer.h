#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "graft/train/optimizer.h"
#include "graft/train/run_directory.h"
#include "graft/train/state.h"

namespace graft::train {

/// How a run's weights become files: an adapter's (AdapterSet::save) or a full model's. The trainer knows neither.
struct WeightFiles {
  std::function<void(const std::filesystem::path&)> save;        ///< into an existing, empty directory
  std::function<void(const std::filesystem::path&)> load;        ///< back into the live parameters, bit for bit
  std::function<void(const std::filesystem::path&)> save_final;  ///< for adapter/: may add what a user needs; unset: save
};

/// The default: every parameter under its own name in weights.safetensors.
WeightFiles plain_weight_files(NamedTensors parameters);

/// Saves and restores all that a run cannot compute again: weights, optimizer state, and where it stands.
class Checkpointer {
 public:
  Checkpointer(std::shared_ptr<const RunDirectory> directory, WeightFiles files, AdamW& optimizer, int64_t keep);

  /// checkpoints/step-N appears whole or not at all, durable; then older ones are pruned. IoError when the disk is full: what was saved
  /// before is intact.
  std::filesystem::path save(const TrainerState& state);
  /// Deletes what `keep` does not cover. save does so too; a process that was killed between the two leaves it to the next one.
  void prune(const TrainerState& state) const;
  /// Loads the newest whole checkpoint of this data, base and recipe into parameters and optimizer; none when the run never saved one.
  /// Refuses (check_identity) when there are checkpoints and none is of these.
  std::optional<TrainerState> restore(const RunIdentity& identity, int64_t steps);
  /// Saves, reads back, compares bit for bit. IoError when the disk gave back something else, InternalError when `load` is not the
  /// inverse of `save` (a resumed run would then not equal an undisturbed one).
  std::filesystem::path save_and_compare(const TrainerState& state);
  /// The final weights in `name` (adapter, model) of the run directory.
  std::filesystem::path save_final(const std::string& name);

 private:
  void compare(const std::filesystem::path& path) const;
  std::shared_ptr<const RunDirectory> directory_;
  WeightFiles files_;
  AdamW& optimizer_;
  int64_t keep_;
};

}  // namespace graft::train
