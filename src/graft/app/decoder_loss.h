#pragma once

#include <cstdint>

#include "graft/models/decoder.h"
#include "graft/train/evaluate.h"

namespace graft::app {

/// A decoder as the trainer sees it: cross-entropy over the supervised tokens, `chunk` rows of logits at a time (0: what fits the budget).
train::LossFunction decoder_loss(models::Decoder decoder, int64_t chunk);

}  // namespace graft::app
