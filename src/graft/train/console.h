#pragma once

#include <string>

#include "graft/train/observer.h"

namespace graft::train {

/// A recipe's log.to (console or not) and log.progress.
struct ConsoleOptions {
  enum class Progress {
    kAuto,   ///< a bar on a terminal, lines elsewhere
    kBar,    ///< a bar, also where stderr is no terminal
    kLines,  ///< a line per logged step
    kNone,   ///< neither; evaluations are told
  };
  Progress progress = Progress::kAuto;
  bool rows = true;  ///< false: only the start and the end are told
};

/// "auto" | "bar" | "lines" | "none"; RecipeError with the nearest name otherwise.
ConsoleOptions::Progress parse_progress(const std::string& name);

/// Progress for people on stderr: a bar with loss, tokens/s and time left, or a line per logged step; evaluations and checkpoints as lines.
/// log.txt gets every line whatever stderr shows.
class Console : public Observer {
 public:
  explicit Console(ConsoleOptions options = {});
  void on_start(const RunStart& start) override;
  void on_step(const StepRow& row, bool logged) override;
  void on_evaluation(const EvaluationRow& row) override;
  void on_checkpoint(int64_t step, const std::filesystem::path& path) override;
  void on_end(const RunResult& result) override;
  ~Console() override;

 private:
  void row(const std::string& line, bool shown) const;

  ConsoleOptions options_;
  bool bar_, lines_;
  RunStart start_;
  double average_seconds_ = 0;  // per step, exponential
};

/// "2:05", "1:02:05", "3d 4h".
std::string format_duration(double seconds);

}  // namespace graft::train
