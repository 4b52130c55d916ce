#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace graft::ops {

/// Result of linear_cross_entropy. Nothing here waits for the device.
struct LinearCrossEntropy {
  at::Tensor loss_sum;  ///< float32 scalar, differentiable: Σ over supervised rows of −log softmax(hidden·weightᵀ)[target]
  at::Tensor correct;   ///< int64 scalar: rows whose largest logit is the target's; undefined unless asked for
};

/// Output projection and cross-entropy in one, without ever building the logits of more than a chunk of rows:
///
///   loss = Σ_{i : target_i ≠ −100} ( logsumexp_v(h_i·w_v) − h_i·w_target_i )
///
/// hidden    [N, width]; float32, bfloat16 or float16
/// weight    [vocabulary, width] of the same dtype: dense (frozen or trained, tied or not) or adapted
/// targets   [N] int64: the token each row predicts, or −100 (not trained on)
/// rows      [M] int64, the positions with targets ≠ −100 in ascending order; undefined: found here, which waits for the device
/// correct   also count the right predictions (one more pass over each chunk)
/// chunk     rows projected at a time; 0: as many as fit the budget (64 MiB of float32 logits on a CPU; 512 MiB of
///           logits in their own dtype on a GPU, in multiples of 128 rows)
///
/// Only supervised rows are projected. Logits are computed in hidden's dtype and turned to float32 for the softmax. With a dense weight
/// the gradients of hidden (and of the weight when it is trained, accumulated in float32) are computed chunk by chunk in the forward pass,
/// in the logits' place, and scaled by the incoming gradient later (as in Liger, arXiv:2410.10989); an adapted weight's chunk is projected
/// again in backward, so that its adapters get their gradients. No supervised row: loss 0 and zero gradients. Deterministic.
/// Throws DataError when shapes or dtypes do not fit, and (on a CPU) when a target is outside the vocabulary.
LinearCrossEntropy linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                                        const at::Tensor& rows = {}, bool correct = false, int64_t chunk = 0);

}  // namespace graft::ops
