#pragma once

#include <filesystem>

#include "graft/base/files.h"
#include "graft/train/observer.h"

namespace graft::train {

/// metrics.jsonl: one JSON object a line, each row one write, so that a reader never sees half a row unless the disk is full.
/// A number that is not finite is written as null. On resume, rows newer than the checkpoint (and a torn last line) are cut off in one
/// truncation, so that no row is doubled or missing. IoError when the disk is full; the file then ends with the last whole row.
class MetricsFile : public Observer {
 public:
  explicit MetricsFile(std::filesystem::path path) : path_(std::move(path)) {}

  void on_start(const RunStart& start) override;
  void on_step(const StepRow& row, bool logged) override;
  void on_evaluation(const EvaluationRow& row) override;
  void flush() override;

 private:
  void append(const std::string& line);
  std::filesystem::path path_;
  FileDescriptor file_;
};

/// The rows as they are written, without the newline.
std::string to_json_line(const StepRow& row);
std::string to_json_line(const EvaluationRow& row);

}  // namespace graft::train
