#pragma once

#include <cstdint>

#include "graft/models/decoder_options.h"

namespace graft::app {

/// Operations of the matrix products with the weights, per token of a training step: two a weight forward, two for the gradient of the
/// input, two for the weight's own when `full`, two more forward in a block that is recomputed (every `recompute_every`-th; 0: none). The
/// head sees the `supervised` share of the tokens only. Adapters, norms and the embedding are not counted.
double weight_flop_per_token(const models::DecoderOptions& shape, int64_t recompute_every, double supervised, bool full = false);

/// Of causal attention in documents of `length` tokens: scores and values, each half of a square; the backward pass is two and a half times
/// the forward (scores are computed again), and a recomputed block runs its forward once more.
double attention_flop_per_token(const models::DecoderOptions& shape, int64_t recompute_every, double length);

}  // namespace graft::app
