#pragma once

#include <cstdint>
#include <vector>

#include "graft/data/batch.h"
#include "graft/data/dataset.h"

namespace graft::data {

/// Lays samples out as one micro-batch: each entry of `rows` is a list of samples placed one after the other. The batch is as long as
/// its longest row; the rest is padding: pad_id, label -100, position 0, document -1. The first label of each document is cleared.
Batch collate(const Dataset& dataset, const std::vector<std::vector<int64_t>>& rows, int32_t pad_id);

/// One sample exactly as it is trained on when it has a row of its own: `data inspect`.
Batch inspect_sample(const Dataset& dataset, int64_t index);

}  // namespace graft::data
