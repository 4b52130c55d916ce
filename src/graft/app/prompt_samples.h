#pragma once

#include <vector>

#include "graft/app/run_data.h"
#include "graft/app/trained_model.h"
#include "graft/train/observer.h"

namespace graft::app {

/// eval.sample_prompts: after every evaluation, what the model says to each prompt (the most likely tokens, up to kNewTokens), one line of
/// the log each. Reads, never draws: the run's numbers are the same without it.
class PromptSamples final : public train::Observer {
 public:
  static constexpr int64_t kNewTokens = 128;

  /// Both outlive the run.
  PromptSamples(TrainedModel& model, const RunData& data) : model_(model), data_(data) {}
  void on_evaluation(const train::EvaluationRow& row) override;

 private:
  TrainedModel& model_;
  const RunData& data_;
};

}  // namespace graft::app
