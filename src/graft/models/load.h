#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "graft/models/decoder.h"

namespace graft {

/// How load_model reads a model directory.
struct LoadOptions {
  /// Compute and storage dtype; unset: the config's.
  std::optional<at::ScalarType> dtype;
  at::Device device = at::kCPU;
  /// Set: no weights are read, they are drawn from this seed (model.init: random). The directory needs only config.json.
  std::optional<uint64_t> random_seed;
};

/// A Hugging Face model directory as a decoder with frozen weights, streamed tensor by tensor. Errors as read_decoder_options
/// (config.json) and load_weights (tensors), and DataError when the host's memory cannot hold it; nothing is allocated before all agree.
models::Decoder load_model(const std::filesystem::path& directory, const LoadOptions& options = {});

/// "float32", "bfloat16", "float16" → the scalar type.
at::ScalarType dtype_of(const std::string& name);

}  // namespace graft
