#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>

#include "graft/quant/codebook.h"

/// The loops behind four_bit.h, on raw host memory and LibTorch's threads. Sizes and dtypes were checked by the caller.
namespace graft::quant::cpu {

/// `count` weights of `dtype` (float32, bfloat16, float16) → codes [(count+1)/2] and the maximum of each block. False when a weight is NaN
/// or infinite.
bool encode(const void* weights, c10::ScalarType dtype, int64_t count, FourBitType type, int64_t block, uint8_t* codes, float* absmax);

/// Codes → `count` weights of dtype `out_dtype`, each rounded to `state_dtype` first. `map` has 16 values, `absmax` one per block.
void decode(const uint8_t* codes, int64_t count, const float* map, const float* absmax, int64_t block, c10::ScalarType state_dtype,
            c10::ScalarType out_dtype, void* out);

/// Values → their nearest in the dynamic map after scaling by the largest of each group.
void encode_absmax(const float* values, int64_t count, int64_t group, uint8_t* codes, float* largest);

/// The way back, plus `offset`: two separately rounded operations.
void decode_absmax(const uint8_t* codes, int64_t count, const float* map, const float* largest, int64_t group, float offset, float* out);

}  // namespace graft::quant::cpu
