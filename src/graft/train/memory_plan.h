#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace graft::train {

/// Smallest tensor whose running averages an 8-bit optimizer keeps in 8 bits, entries (bitsandbytes' min_8bit_size).
inline constexpr int64_t kSmallestEightBitTensor = 4096;

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
  int64_t trainable_bytes = 4;       ///< of one trainable parameter
  int64_t eight_bit_parameters = 0;  ///< of the trainable ones, those whose moments are kept in 8 bits
  bool start_kept = false;           ///< the adapter's first values are kept beside it (adapter.init: pissa)
  int64_t ranks_per_layer = 0;       ///< Σ over the adapted Linears of one block of their rank (7 targets of rank 16: 112)

  // The micro-batch and how it is run.
  int64_t micro_rows = 1, length = 0;
  int64_t micro_batches = 1;    ///< of one optimizer step
  int64_t recompute_every = 0;  ///< 0: keep all activations; n: recompute every n-th block
  bool offload = false;         ///< the inputs of recomputed blocks wait in pinned host memory
  int64_t loss_chunk_rows = 0;  ///< 0: as ops::linear_cross_entropy chooses
  bool cuda = false;
};

/// Predicted peak, bytes, by what it is spent on.
struct MemoryPlan {
  int64_t weights = 0, adapter = 0, gradients = 0, optimizer = 0, activations = 0, loss_chunk = 0, backward = 0, runtime = 0;
  int64_t pinned_host = 0;  ///< of host memory, beside what the device holds: not in total()
  int64_t total() const { return weights + adapter + gradients + optimizer + activations + loss_chunk + backward + runtime; }
  /// (name, bytes) in a fixed order, for `plan --json`'s parts.
  std::vector<std::pair<std::string, int64_t>> parts() const;
};

/// The prediction. With b = dtype_bytes, T = micro_rows·length tokens of a micro-batch, h hidden, f intermediate, q = heads·head_size and
/// k = key_value_heads·head_size, and r = ranks_per_layer:
///
///   weights      quantized_parameters·quantized_bytes + the rest·b
///   adapter      trainable·trainable_bytes (0 when full: they are the weights), twice with start_kept; and their copies in the compute
///                dtype
///   gradients    trainable·trainable_bytes (and 4 bytes each for float32 copies of lower-precision ones at the update) when full or
///                when a step has several micro-batches; with one, they arrive while activations leave and do not raise the peak
///   optimizer    trainable·8 (two float32 moments; those in 8 bits: 2 + 8/256), and trainable·4 when a float32 master is kept
///                (trainable_bytes < 4 and full)
///   activations  per kept block, per token: b·(2h + 2q + 2k + 2f) + 4·heads + 8 + b·r: input, second residual; query, key, value and
///                attention output; gate and up; log-sum-exp, reciprocal roots, A's outputs. Full fine-tuning keeps both norms'
///                outputs and the gated product as well: b·(2h + f) more. A recomputed block keeps its input (b·h); with offload two of
///                them are on the device, and all in pinned_host, each rounded up to a power of two as LibTorch's allocator does
///   loss_chunk   rows·vocabulary·b on a GPU, ·8 on a CPU (logits and probabilities), and three last hidden states: 3·b·h per token
///   backward     by how much the first block's backward exceeds the loss: b·(h + max(f, 2h)) per token on a GPU (gradients lie over
///                gate and up), b·(4f + 2h) on a CPU; a recomputed block's activations; decoded_bytes
///   runtime      CPU: the process with LibTorch before any tensor, and what the math libraries keep; GPU: cuBLAS workspaces and the
///                allocator's rounding (its peak of allocated bytes is what is measured, the context is not in it)
MemoryPlan plan_memory(const MemoryInputs& inputs);

/// The least recompute that fits: 0 (none) when the plan without any stays within `budget` bytes, else the largest n of 8, 4, 3, 2 and 1
/// for which recomputing every n-th block does; 1 when nothing fits. `inputs.recompute_every` is not looked at.
int64_t fitting_recompute(MemoryInputs inputs, int64_t budget);

/// Most tokens of a step that is worth recording as a CUDA graph: 4096 (beyond, the host keeps up) where blocks are recomputed, because a
/// graph keeps the gradients' memory; any number where none is; 0 when the device has no room for the activations of the graph beside those
/// of steps of other shapes, and when activations are offloaded: a graph would replay copies into the host memory it was recorded with.
/// `recompute_every` as in MemoryInputs.
int64_t graph_tokens(const MemoryPlan& plan, int64_t recompute_every, int64_t memory);

}  // namespace graft::train
