#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace graft::data {

/// One training example: token ids and, at each position, the label or -100 (not trained on). labels[t] is the token at t itself;
/// the shift to "predict t+1" happens in the loss, as in transformers: labels[0] never counts.
struct Sample {
  std::vector<int32_t> ids;
  std::vector<int32_t> labels;
  uint64_t index = 0;  ///< position among all samples of its source list, in file order
};

/// One micro-batch, row-major [rows, length], padded on the right. A row is one sample, or several when packed.
/// document_ids: 0, 1, … within a row, -1 in padding. position_ids restart at 0 for each document.
/// labels: already cleared (-100) at the first position of every document, so nothing is predicted across a boundary.
struct Batch {
  int64_t rows = 0, length = 0;
  std::vector<int32_t> ids, labels, position_ids, document_ids;
  int64_t supervised_tokens = 0;  ///< labels != -100
  int64_t tokens = 0;             ///< positions that are not padding
};

/// Everything one optimizer step trains on.
struct StepBatches {
  std::vector<Batch> micro_batches;
  double epoch = 0;  ///< fraction of epochs done after this step
  int64_t supervised_tokens() const;
  int64_t tokens() const;
};

}  // namespace graft::data
