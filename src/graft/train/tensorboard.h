#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "graft/base/files.h"
#include "graft/train/observer.h"

namespace graft::train {

/// events.out.tfevents.*: the rows of metrics.jsonl as TensorBoard scalars (train/loss, train/learning_rate, …, eval/loss). A file of
/// TFRecords (length u64, masked CRC-32C of it, bytes, masked CRC-32C of them), each one serialised tensorflow.Event. On resume events
/// newer than the checkpoint, and a torn last record, are cut off and the same file goes on.
class TensorBoard : public Observer {
 public:
  explicit TensorBoard(std::filesystem::path directory) : directory_(std::move(directory)) {}

  void on_start(const RunStart& start) override;
  void on_step(const StepRow& row, bool logged) override;
  void on_evaluation(const EvaluationRow& row) override;
  void flush() override;

 private:
  void append(int64_t step, const std::vector<std::pair<std::string, double>>& scalars);
  std::filesystem::path directory_, path_;
  FileDescriptor file_;
};

/// CRC-32C (Castagnoli, reflected 0x82F63B78) as TFRecord masks it: ((crc >> 15 | crc << 17) + 0xa282ead8).
uint32_t masked_crc32c(std::string_view bytes);

}  // namespace graft::train
