#include "graft/data/collate.h"

#include <algorithm>

namespace graft::data {
namespace {

constexpr int32_t kMasked = -100;

/// Copies one document into the batch at `at` and counts it.
void place_document(const Sample& sample, int32_t document, size_t at, Batch& batch) {
  for (size_t t = 0; t < sample.ids.size(); ++t) {
    const int32_t label = t == 0 ? kMasked : sample.labels[t];  // nothing in this document predicts its first token
    batch.ids[at + t] = sample.ids[t];
    batch.labels[at + t] = label;
    batch.position_ids[at + t] = static_cast<int32_t>(t);
    batch.document_ids[at + t] = document;
    batch.supervised_tokens += label != kMasked;
  }
  batch.tokens += static_cast<int64_t>(sample.ids.size());
}

}  // namespace

Batch collate(const Dataset& dataset, const std::vector<std::vector<int64_t>>& rows, int32_t pad_id) {
  Batch batch;
  batch.rows = static_cast<int64_t>(rows.size());
  for (const auto& row : rows) {
    int64_t length = 0;
    for (const int64_t index : row) length += dataset.length(index);
    batch.length = std::max(batch.length, length);
  }
  const auto cells = static_cast<size_t>(batch.rows * batch.length);
  batch.ids.assign(cells, pad_id);
  batch.labels.assign(cells, kMasked);
  batch.position_ids.assign(cells, 0);
  batch.document_ids.assign(cells, -1);
  for (size_t r = 0; r < rows.size(); ++r) {
    size_t at = r * static_cast<size_t>(batch.length);
    int32_t document = 0;
    for (const int64_t index : rows[r]) {
      const Sample sample = dataset.sample(index);
      place_document(sample, document++, at, batch);
      at += sample.ids.size();
    }
  }
  return batch;
}

Batch inspect_sample(const Dataset& dataset, int64_t index) { return collate(dataset, {{index}}, 0); }

}  // namespace graft::data
