#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "graft/quant/codebook.h"

namespace graft::quant {

struct FourBitOptions {
  FourBitType type = FourBitType::kNf4;
  bool double_quant = false;  ///< block maxima in 8 bits as well
  int64_t block = 64;         ///< weights that share one maximum: 32, 64, … 4096
};

/// A matrix in bitsandbytes' 4-bit form. The matrix is read row by row as one list of n weights, cut into blocks (they may straddle rows;
/// the last may be short). All tensors are contiguous and on one device.
///
///   weight  = round_to_dtype(code_map[code] · maximum of its block), one float32 product
///   maximum = absmax[block], or round(round(nested_map[absmax[block]] · nested_absmax[block / nested_block]) + offset) when nested
struct FourBitTensor {
  FourBitType type = FourBitType::kNf4;
  int64_t block = 64;
  at::ScalarType dtype = at::kBFloat16;  ///< of the original: what decoding rounds to
  std::vector<int64_t> shape;            ///< [out, in]
  at::Tensor codes;                      ///< uint8 [(n+1)/2]; weight 2j in the high half of byte j
  at::Tensor code_map;                   ///< float32 [16]
  at::Tensor absmax;                     ///< float32 [blocks], or uint8 [blocks] when nested
  at::Tensor nested_absmax;              ///< float32 [ceil(blocks / nested_block)]; undefined when not nested
  at::Tensor nested_map;                 ///< float32 [256]
  float offset = 0;                      ///< mean of the block maxima
  int64_t nested_block = 256;

  bool nested() const { return nested_absmax.defined(); }
  int64_t numel() const { return shape[0] * shape[1]; }
  int64_t blocks() const { return (numel() + block - 1) / block; }
  int64_t bytes() const;  ///< of codes and scales; the maps are constants
  void move(at::Device device);
};

/// UsageError unless 32, 64, 128 … 4096.
void check_block(int64_t block);

/// The matrix [out, in] (float32, bfloat16 or float16, any strides) in 4 bits. x = w · (1 / maximum of its block) in float32 picks the
/// code. A block of zeros gets code 0 and maximum 0. DataError that names `name` when a weight is NaN or infinite.
FourBitTensor encode(const at::Tensor& weight, const FourBitOptions& options, const std::string& name);

/// The matrix, rounded to the tensor's own dtype and then cast to `dtype` (float32, bfloat16 or float16).
at::Tensor decode(const FourBitTensor& tensor, at::ScalarType dtype);

/// The same into a matrix that is there: [out, in] with rows that may lie apart (stride(1) is 1), on the weight's device.
void decode_into(const FourBitTensor& tensor, const at::Tensor& out);

/// The block maxima, float32 [blocks].
at::Tensor decode_absmax(const FourBitTensor& tensor);

}  // namespace graft::quant
