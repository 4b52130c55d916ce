#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace graft::train {

/// All that decides how much memory a training run takes. No tensor and no file is needed: `plan` fills this from config.json and
/// the recipe.
struct MemoryInputs {
  // The decoder.
  int64_t layers = 0, hidden = 0, intermediate = 0, heads = 0, key_value_heads = 0, head_size = 0, vocabulary = 0;
  int64_t total_parameters = 0;      ///< a tied head counted once
  int64_t quantized_parameters = 0;  ///< of them, in quantized Linear weights
  double quantized_bytes = 0.5;      ///< per quantized parameter, scales counted (nf4: 0.5 + 4/64, with double quant 0.5 + 0.127/8)
  int64_t decoded_bytes = 0;         ///< of the largest quantized matrix once decoded: one is dense at a time
  int64_t dtype_bytes = 2;           ///< of the other weights and of activations: 2 or 4

  // What is trained.
  bool full = false;  ///< full fine-tuning: the trainable parameters are among total_parameters
  int64_t trainable_parameters = 0;
  int64_t trainable_bytes = 4;  ///< of one trainable parameter
  int64_t ranks_per_layer = 0;  ///< Σ over the adapted Linears of one block of their rank (7 targets of rank 16: 112)

  // The micro-batch and how it is run.
  int64_t micro_rows = 1, length = 0;
  int64_t recompute_every = 0;  ///< 0: keep all activations; n: recompute every n-th block
  int64_t loss_chunk_rows = 0;  ///< 0: as ops::linear_cross_entropy chooses
  bool cuda = false;
};

/// Predicted peak, bytes, by what it is spent on.
struct MemoryPlan {
  int64_t weights = 0, adapter = 0, gradients = 0, optimizer = 0, activations = 0, loss_chunk = 0, runtime = 0;
  int64_t total() const { return weights + adapter + gradients + optimizer + activations + loss_chunk + runtime; }
  /// (name, bytes) in a fixed order, for `plan --json`'s parts.
  std::vector<std::pair<std::string, int64_t>> parts() const;
};

/// The prediction. With b = dtype_bytes, T = micro_rows·length tokens of a micro-batch, h hidden, f intermediate, q = heads·head_size and
/// k = key_value_heads·head_size, and r = ranks_per_layer:
///
///   weights      quantized_parameters·quantized_bytes + the rest·b
///   adapter      trainable·trainable_bytes                (0 when full: they are the weights)
///   gradients    trainable·trainable_bytes                (and 4 bytes each for float32 copies of lower-precision ones at the update)
///   optimizer    trainable·8 (two float32 moments) + trainable·4 when a float32 master is kept (trainable_bytes < 4 and full)
///   activations  per kept block, per token: b·(4h + 2q + 2k + 3f) + 4·heads + 4r   block input, both norms' outputs and the second
///   residual;
///                query, key, value and attention output; gate, up and their product; log-sum-exp; A's outputs.
///                A recomputed block keeps its input only (b·h); one whole block is alive during its backward.
///                Plus in flight in backward: b·(2h + 3f) per token, and the last hidden state with its gradient: 3·b·h.
///   loss_chunk   rows·vocabulary·(4 + b, and 4 more when b < 4): logits, their float32 copy, probabilities (and the narrow gradient)
///   runtime      CPU: the process with LibTorch before any tensor, and what the math libraries keep; GPU: cuBLAS workspaces and the
///                allocator's rounding (its peak of allocated bytes is what is measured, the context is not in it).
///                Plus decoded_bytes.
MemoryPlan plan_memory(const MemoryInputs& inputs);

}  // namespace graft::train
