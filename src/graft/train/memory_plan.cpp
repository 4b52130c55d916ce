#include "graft/train/memory_plan.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace graft::train {
namespace {

constexpr int64_t kMebibyte = int64_t{1} << 20;
/// As ops::ParkedChain.
constexpr int64_t kParkedOnDevice = 2;

/// As ops::linear_cross_entropy chooses.
int64_t chunk_rows(const MemoryInputs& in) {
  const int64_t vocabulary = std::max<int64_t>(in.vocabulary, 1), tokens = std::max<int64_t>(in.micro_rows * in.length, 1);
  int64_t rows = in.loss_chunk_rows;
  if (rows == 0 && in.cuda) rows = std::max<int64_t>(512 * kMebibyte / (vocabulary * in.dtype_bytes) / 128 * 128, 128);
  if (rows == 0) rows = std::max<int64_t>(64 * kMebibyte / (vocabulary * 4), 16);
  return std::min(rows, tokens);
}

int64_t recomputed_blocks(const MemoryInputs& in) { return in.recompute_every > 0 ? in.layers / in.recompute_every : 0; }

/// What LibTorch's allocator of pinned memory takes for so many bytes.
int64_t pinned(int64_t bytes) { return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(bytes, 1)))); }

/// One block's activations for one token.
int64_t block_bytes(const MemoryInputs& in) {
  const int64_t query = in.heads * in.head_size;
  // A GPU's float32 attention takes keys and values repeated for their group (ops/attention.cpp).
  const int64_t key = in.cuda && in.dtype_bytes == 4 ? query : in.key_value_heads * in.head_size;
  const int64_t wide = 2 * in.hidden + 2 * query + 2 * key + 2 * in.intermediate + (in.full ? 2 * in.hidden + in.intermediate : 0);
  return in.dtype_bytes * (wide + in.ranks_per_layer) + 4 * in.heads + 8;
}

/// What one block's backward holds besides activations, for one token.
int64_t in_flight_bytes(const MemoryInputs& in) {
  if (!in.cuda) return in.dtype_bytes * (4 * in.intermediate + 2 * in.hidden);
  return in.dtype_bytes * (in.hidden + std::max(in.intermediate, 2 * in.hidden));
}

}  // namespace

std::vector<std::pair<std::string, int64_t>> MemoryPlan::parts() const {
  return {{"weights", weights},         {"adapter", adapter},       {"gradients", gradients}, {"optimizer", optimizer},
          {"activations", activations}, {"loss_chunk", loss_chunk}, {"backward", backward},   {"runtime", runtime}};
}

MemoryPlan plan_memory(const MemoryInputs& in) {
  MemoryPlan plan;
  const bool narrow = in.trainable_bytes < 4;
  plan.weights = static_cast<int64_t>(static_cast<double>(in.quantized_parameters) * in.quantized_bytes) +
                 (in.total_parameters - in.quantized_parameters) * in.dtype_bytes;
  const int64_t copies = !in.full && in.trainable_bytes > in.dtype_bytes ? in.dtype_bytes : 0;
  plan.adapter = in.full ? 0 : in.trainable_parameters * ((in.start_kept ? 2 : 1) * in.trainable_bytes + copies);
  if (in.full || in.micro_batches > 1) plan.gradients = in.trainable_parameters * (in.trainable_bytes + (narrow && in.full ? 4 : 0));
  const int64_t moment_bytes = narrow && !in.full ? in.trainable_bytes : 4;
  const int64_t eight_bit = in.eight_bit_parameters;
  plan.optimizer = (in.trainable_parameters - eight_bit) * 2 * moment_bytes + eight_bit * 2 + eight_bit * 8 / 256 +
                   (narrow && in.full ? in.trainable_parameters * 4 : 0);
  const int64_t tokens = in.micro_rows * in.length, recomputed = recomputed_blocks(in);
  const int64_t inputs_on_device = in.offload ? std::min(recomputed, kParkedOnDevice) : recomputed;
  plan.activations = tokens * ((in.layers - recomputed) * block_bytes(in) + inputs_on_device * in.dtype_bytes * in.hidden);
  if (in.offload) plan.pinned_host = recomputed * pinned(tokens * in.dtype_bytes * in.hidden);
  plan.loss_chunk = chunk_rows(in) * in.vocabulary * (in.cuda ? in.dtype_bytes : 8) + 3 * tokens * in.dtype_bytes * in.hidden;
  const int64_t backward = tokens * (in_flight_bytes(in) + (recomputed > 0 ? block_bytes(in) : 0)) + in.decoded_bytes;
  plan.backward = std::max<int64_t>(backward - plan.loss_chunk, 0);
  plan.runtime = (in.cuda ? 64 : 150) * kMebibyte;
  return plan;
}

int64_t fitting_recompute(MemoryInputs inputs, int64_t budget) {
  for (const int64_t every : {0, 8, 4, 3, 2}) {
    inputs.recompute_every = every;
    if (plan_memory(inputs).total() <= budget) return every;
  }
  return 1;
}

int64_t graph_tokens(const MemoryPlan& plan, int64_t recompute_every, int64_t memory) {
  if (plan.pinned_host > 0 || plan.total() + plan.activations + plan.loss_chunk + plan.backward > memory) return 0;
  return recompute_every == 0 ? std::numeric_limits<int64_t>::max() : 4096;
}

}  // namespace graft::train
