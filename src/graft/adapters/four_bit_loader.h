#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "graft/adapters/quantize.h"
#include "graft/io/linear_loader.h"

namespace graft {

/// Packed copies of weights that are quantized on the way: asked for each before that happens, and told what came of it.
class PackedWeights {
 public:
  virtual ~PackedWeights() = default;
  /// The weight "<path>.weight", [out, in], in 4 bits on the device, bit for bit what quantizing it would give; nothing: quantize it.
  virtual std::optional<quant::FourBitTensor> find(const std::string& path, const std::vector<int64_t>& shape, at::Device device) = 0;
  /// A weight that was quantized. The tensors are shared with the model and must not be changed.
  virtual void add(const std::string& path, const quant::FourBitTensor& tensor) = 0;
};

/// For LoadOptions::linears. A directory that is quantized on disk (bitsandbytes' nf4 or fp4) is taken as it is: its 4-bit weights stay 4
/// bits. `quantize` must then be empty or agree with it (UsageError). Otherwise, with `quantize`: every Linear below the output head that
/// the options do not skip is quantized, layer by layer, as it comes from disk: cast to the model's dtype, then to 4 bits. The largest
/// amount of memory taken is that of the quantized model plus one weight. Null when there is nothing to do. `compute` overrides what a
/// directory's bnb_4bit_compute_dtype says. `packed` (may be null) keeps what is quantized for the next time.
std::shared_ptr<const io::LinearLoader> four_bit_loader(const std::filesystem::path& model,
                                                        const std::optional<FourBitLinears>& quantize = {},
                                                        std::optional<at::ScalarType> compute = {},
                                                        std::shared_ptr<PackedWeights> packed = nullptr);

}  // namespace graft
