#include "graft/data/batch.h"

namespace graft::data {

int64_t StepBatches::supervised_tokens() const {
  int64_t sum = 0;
  for (const auto& batch : micro_batches) sum += batch.supervised_tokens;
  return sum;
}

int64_t StepBatches::tokens() const {
  int64_t sum = 0;
  for (const auto& batch : micro_batches) sum += batch.tokens;
  return sum;
}

}  // namespace graft::data
