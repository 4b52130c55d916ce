#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "graft/base/random.h"

namespace graft::app {

/// How the next token is chosen.
struct SamplingOptions {
  double temperature = 0;  ///< 0: the most likely token, always
  double top_p = 1;        ///< (0, 1]: only the smallest set of tokens whose probability reaches this (Holtzman et al. 2020)
};

/// logits [vocabulary], any dtype and device → a token id. Draws one number from the stream when the temperature is above 0.
int32_t sample(const at::Tensor& logits, const SamplingOptions& options, RandomStream& stream);

}  // namespace graft::app
