#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "graft/quant/four_bit.h"

namespace graft::app {

struct QuantizeFilesReport {
  int64_t modules = 0;                        ///< weights now in 4 bits
  int64_t bytes_before = 0, bytes_after = 0;  ///< of all weights
  /// Root mean square of (decoded − original) over that of the original.
  double error = 0;
};

/// A model directory in bitsandbytes' 4-bit layout, which transformers loads: the Linear weights of the decoder's blocks in 4 bits,
/// everything else (embedding, norms, biases, output head) in `dtype`. Weights are cast to `dtype` first ("" keeps what is on disk, fp32 |
/// bf16 | fp16). Tensor by tensor: memory holds the block maxima and one tensor; each weight is encoded twice, as the file format wants all
/// maxima before the codes. The directory appears whole or not at all. InUseError when `output` holds files; DataError for a model that is
/// quantized already, or not one that graft loads, or not finite; UsageError for the block.
QuantizeFilesReport quantize_files(const std::filesystem::path& model, const std::filesystem::path& output,
                                   const quant::FourBitOptions& options, const std::string& dtype);

}  // namespace graft::app
