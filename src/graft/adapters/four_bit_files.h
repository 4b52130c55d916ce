#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "graft/io/model_directory.h"
#include "graft/quant/four_bit.h"

/// bitsandbytes' 4-bit weights in safetensors. For a Linear X:
///
///   X.weight                                  U8 [(n+1)/2, 1] (or the same bytes as F32, F16, BF16)
///   X.weight.absmax                           F32 [blocks], or U8 [blocks] when nested
///   X.weight.quant_map                        F32 [16]
///   X.weight.nested_absmax, .nested_quant_map F32 [ceil(blocks / 256)], F32 [256]; nested only
///   X.weight.quant_state.bitsandbytes__nf4    U8: a JSON object (or __fp4)
namespace graft::detail {

/// Whether "<path>.weight" is stored so: it has a quant_state beside it.
bool is_four_bit(const io::ModelDirectory& directory, const std::string& path);

/// Names of the tensors that may stand beside "<path>.weight".
std::vector<std::string> four_bit_companions(const std::string& path);

/// DataError that names the tensor for a missing, left-over or mis-shaped part, a state that is no such JSON, and a shape other than
/// `shape` (when given). The codes themselves are not read.
void check_four_bit(const io::ModelDirectory& directory, const std::string& path, const std::optional<std::vector<int64_t>>& shape);

/// The checked state alone: type, block, dtype and shape; no tensor is read.
quant::FourBitTensor four_bit_state(const io::ModelDirectory& directory, const std::string& path);

/// Checks and reads one weight into memory of its own on the device. Decoding uses the file's own maps. DataError also when a map or a
/// maximum is not finite.
quant::FourBitTensor read_four_bit(const io::ModelDirectory& directory, const std::string& path,
                                   const std::optional<std::vector<int64_t>>& shape = {}, at::Device device = at::kCPU);

/// What stands on disk for a weight: names and tensors, where they are (the state on the CPU).
std::vector<std::pair<std::string, at::Tensor>> four_bit_parts(const quant::FourBitTensor& tensor, const std::string& path);

/// What stands on disk for a weight, the codes included: names and tensors, on the CPU.
std::vector<std::pair<std::string, at::Tensor>> four_bit_files(const quant::FourBitTensor& tensor, const std::string& path);

}  // namespace graft::detail
