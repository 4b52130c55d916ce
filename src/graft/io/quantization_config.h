#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "graft/base/json.h"
#include "graft/io/config_reader.h"

namespace graft::io {

class ModelDirectory;

/// quantization_config of a config.json, as transformers writes it for bitsandbytes' 4-bit formats.
struct QuantizationConfig {
  std::string type = "nf4";  ///< nf4 | fp4
  bool double_quant = false;
  std::string compute_dtype = "float32";         ///< what the products are computed in: float32 | bfloat16 | float16
  std::string storage = "uint8";                 ///< dtype the codes' bytes are stored as
  std::optional<std::vector<std::string>> skip;  ///< modules left dense; none given: transformers leaves the output head
};

/// Nothing when the key is absent or null. DataError for another method, for 8 bits, and for a key or value that is not known.
std::optional<QuantizationConfig> read_quantization_config(const ConfigReader& config);
std::optional<QuantizationConfig> read_quantization_config(const ModelDirectory& directory);

/// The object as transformers writes it, every key.
Json quantization_json(const QuantizationConfig& config);

/// Bytes that one weight takes in 4 bits, scales included: a float32 maximum for each `block` of weights, or with double quantization one
/// byte for it and a float32 for 256 of those.
double four_bit_bytes_per_weight(int64_t block, bool double_quant);

/// Whether transformers leaves this module dense: a name in `skip` is the module's, its beginning or its end.
bool is_skipped(const QuantizationConfig& config, const std::string& module);

}  // namespace graft::io
