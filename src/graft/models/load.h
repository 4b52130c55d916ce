#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "graft/io/linear_loader.h"
#include "graft/io/tensor_dtype.h"
#include "graft/models/decoder.h"

namespace graft {

/// How load_model reads a model directory.
struct LoadOptions {
  /// Compute and storage dtype; unset: the config's.
  std::optional<at::ScalarType> dtype;
  at::Device device = at::kCPU;
  /// Set: no weights are read, they are drawn from this seed (model.init: random). The directory needs only config.json.
  std::optional<uint64_t> random_seed;
  /// Set: stores the weights of the Linears it takes in its own way (quantized); those are never allocated dense. A directory that is
  /// quantized on disk needs one. See graft::four_bit_loader.
  std::shared_ptr<const io::LinearLoader> linears;
};

/// A Hugging Face model directory as a decoder with frozen weights, streamed tensor by tensor. Errors as read_decoder_options
/// (config.json) and load_weights (tensors), and DataError when the host's memory cannot hold it; nothing is allocated before all agree.
models::Decoder load_model(const std::filesystem::path& directory, const LoadOptions& options = {});

}  // namespace graft
