#pragma once

#include <cstdint>

#include "graft/ops/cuda_launchers.h"
#include "graft/quant/adam_rule.h"

/// Raw launchers of this folder's *_cuda.cu, in the manner of ops/cuda_launchers.h: GPU pointers, sizes, a stream; no LibTorch header.
namespace graft::quant::cuda {

/// Where the maximum of each block comes from: float absmax, or codes of 8 bits with their own maxima (nested_absmax not null).
struct BlockScales {
  const void* absmax = nullptr;          ///< float [blocks], or uint8 [blocks]
  const float* nested_map = nullptr;     ///< [256]
  const float* nested_absmax = nullptr;  ///< [ceil(blocks / nested_block)]
  float offset = 0;
  int64_t nested_block = 256;
};

/// 4-bit codes → a matrix [rows, columns] whose rows lie `row_stride` elements apart: round(map[code] · maximum) to `state`, then to
/// `out_dtype`. Nothing but the entries is written. `block` is a power of two from 32.
void decode_four_bit(const uint8_t* codes, const float* map, const BlockScales& scales, int64_t block, int64_t rows, int64_t columns,
                     ops::cuda::Real state, ops::cuda::Real out_dtype, void* out, int64_t row_stride, void* stream);

/// What picks a code; filled from codebook.h.
struct EncodeRule {
  float thresholds[15] = {};     ///< ascending; FP4's seven are of magnitudes
  uint8_t code_of_rank[8] = {};  ///< FP4
  bool nf4 = true;
};

/// `count` weights → codes [(count+1)/2] and absmax [blocks]. *not_finite becomes 1 when a weight is NaN or infinite (its block is then
/// not written).
void encode_four_bit(ops::cuda::Real dtype, const void* weights, int64_t count, const EncodeRule& rule, int64_t block, uint8_t* codes,
                     float* absmax, int* not_finite, void* stream);

/// A matrix [rows, width] → E4M3 codes and scales [rows], the rule of fp8.h. `factors` [width] may be null.
void encode_fp8_rows(ops::cuda::Real dtype, const void* x, const float* factors, int64_t rows, int64_t width, void* codes, float* scales,
                     void* stream);

/// Bytes [rows, columns] → [columns, rows].
void transpose_bytes(const void* from, int64_t rows, int64_t columns, void* to, void* stream);

/// Whether the current device has FP8 matrix units.
bool has_fp8_products();

/// eight_bit_adam.h's step. `maps` [512]: the signed dynamic map, then the unsigned one. Nothing is done when *skip is not 0 (skip may be
/// null).
void eight_bit_adamw(float* parameter, const float* gradient, int64_t count, const MomentPointers& moments, const AdamRule& rule,
                     const float* maps, const float* skip, void* stream);

}  // namespace graft::quant::cuda
