#include "graft/train/memory_plan.h"

#include <algorithm>

namespace graft::train {
namespace {

constexpr int64_t kMebibyte = int64_t{1} << 20;

int64_t chunk_rows(const MemoryInputs& in) {
  if (in.loss_chunk_rows > 0) return in.loss_chunk_rows;
  const int64_t budget = (in.cuda ? 256 : 64) * kMebibyte;  // ops/linear_cross_entropy.h
  return std::max<int64_t>(budget / (std::max<int64_t>(in.vocabulary, 1) * 4), 16);
}

int64_t activation_bytes(const MemoryInputs& in) {
  const int64_t b = in.dtype_bytes, tokens = in.micro_rows * in.length;
  const int64_t query = in.heads * in.head_size, key = in.key_value_heads * in.head_size;
  const int64_t block = b * (4 * in.hidden + 2 * query + 2 * key + 3 * in.intermediate) + 4 * in.heads + 4 * in.ranks_per_layer;
  const int64_t recomputed = in.recompute_every > 0 ? in.layers / in.recompute_every : 0;
  const int64_t kept = in.layers - recomputed;
  const int64_t in_flight = b * (2 * in.hidden + 3 * in.intermediate) + 3 * b * in.hidden + (recomputed > 0 ? block : 0);
  return tokens * (kept * block + recomputed * b * in.hidden + in_flight);
}

}  // namespace

std::vector<std::pair<std::string, int64_t>> MemoryPlan::parts() const {
  return {{"weights", weights},         {"adapter", adapter},       {"gradients", gradients}, {"optimizer", optimizer},
          {"activations", activations}, {"loss_chunk", loss_chunk}, {"runtime", runtime}};
}

MemoryPlan plan_memory(const MemoryInputs& in) {
  MemoryPlan plan;
  const bool narrow = in.trainable_bytes < 4;
  plan.weights = static_cast<int64_t>(static_cast<double>(in.quantized_parameters) * in.quantized_bytes) +
                 (in.total_parameters - in.quantized_parameters) * in.dtype_bytes;
  plan.adapter = in.full ? 0 : in.trainable_parameters * in.trainable_bytes;
  plan.gradients = in.trainable_parameters * (in.trainable_bytes + (narrow && in.full ? 4 : 0));
  const int64_t moment_bytes = narrow && !in.full ? in.trainable_bytes : 4;
  plan.optimizer = in.trainable_parameters * (2 * moment_bytes + (narrow && in.full ? 4 : 0));
  plan.activations = activation_bytes(in);
  const int64_t rows = std::min(chunk_rows(in), std::max<int64_t>(in.micro_rows * in.length, 1));
  plan.loss_chunk = rows * in.vocabulary * (in.dtype_bytes < 4 ? in.dtype_bytes * 2 + 8 : 8);
  plan.runtime = (in.cuda ? 64 : 150) * kMebibyte + in.decoded_bytes;
  return plan;
}

}  // namespace graft::train
