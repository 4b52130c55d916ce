#pragma once

#include <ATen/core/Tensor.h>

#include "graft/models/decoder_options.h"

namespace graft::models {

/// What a rotary embedding multiplies positions with: inverse frequencies [head_size / 2], float32 on the CPU, and the factor on
/// cos and sin. `longest`: number of positions of the sequence; only dynamic scaling depends on it (0: the trained length).
/// Formulas and rounding: transformers' modeling_rope_utils (5.x).
struct RopeFrequencies {
  at::Tensor inverse;
  double attention_scaling = 1.0;
};
RopeFrequencies rope_frequencies(const RopeOptions& options, int64_t head_size, int64_t longest = 0);

/// cos and sin for every position, computed in float32 and then rounded to `dtype`.
struct RopeTables {
  at::Tensor cos, sin;  ///< [rows or 1, length, head_size / 2]
};
/// position_ids int64 [rows or 1, length]; the tables are on its device.
RopeTables rope_tables(const RopeFrequencies& frequencies, const at::Tensor& position_ids, at::ScalarType dtype);

}  // namespace graft::models
