#pragma once

#include <chrono>

#include "graft/train/observer.h"

namespace graft::train {

/// Progress for people on stderr: a bar with loss, tokens/s and time left on a terminal, one plain line per logged step elsewhere (and in
/// log.txt), evaluations and checkpoints as lines.
class Console : public Observer {
 public:
  void on_start(const RunStart& start) override;
  void on_step(const StepRow& row, bool logged) override;
  void on_evaluation(const EvaluationRow& row) override;
  void on_checkpoint(int64_t step, const std::filesystem::path& path) override;
  void on_end(const RunResult& result) override;
  ~Console() override;

 private:
  RunStart start_;
  double average_seconds_ = 0;  // per step, exponential
};

/// "2:05", "1:02:05", "3d 4h".
std::string format_duration(double seconds);

}  // namespace graft::train
