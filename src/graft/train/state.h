#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace graft::train {

/// What must be the same for a checkpoint to be continued. Any text; hashes in practice. "" = not checked.
struct RunIdentity {
  std::string recipe;           ///< hash of every key that can change the result
  std::string dataset;          ///< data::Dataset::fingerprint()
  std::string base;             ///< of the base model's files
  std::string evaluation = {};  ///< fingerprint of evaluation data of its own (the best checkpoint and patience depend on it)
};

/// state.json: where a run stands at an optimizer-step boundary. Everything else (data order, random numbers, learning rate) is a pure
/// function of the step. Nothing here depends on the clock, so that a resumed run writes the same bytes.
struct TrainerState {
  int64_t step = 0;             ///< optimizer steps done
  int64_t steps = 0;            ///< N of the schedule
  int64_t evaluated_step = -1;  ///< last step whose evaluation is done; -1: none
  int64_t tokens = 0, supervised_tokens = 0;
  double loss = 0;  ///< of the last step
  std::optional<double> best_metric;
  int64_t best_step = -1;
  int64_t evaluations_without_gain = 0;  ///< towards stop_when's patience
  bool stopped_early = false;
  RunIdentity identity;
};

/// The file's text: fixed key order; doubles in their shortest exact form.
std::string to_json(const TrainerState& state);

/// DataError naming `origin` when the text is malformed or of a format this version does not know.
TrainerState parse_state(const std::string& text, const std::string& origin);

/// DataError that says what changed when dataset, base or the number of steps differ; InUseError when the recipe differs.
void check_identity(const TrainerState& saved, const RunIdentity& now, int64_t steps, const std::string& origin);

}  // namespace graft::train
