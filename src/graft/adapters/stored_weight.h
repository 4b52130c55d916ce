#pragma once

#include <ATen/core/Tensor.h>

#include "graft/io/model_directory.h"

namespace graft::detail {

/// Reads plain weights from disk, one at a time, for loaders that quantize them at once.
class StoredWeightReader {
 public:
  /// The tensor, cast to `dtype`, on `device`. On a CPU it is valid until the next call: all weights share one buffer, because a new one
  /// for each, between codes that stay, would leave holes as large as the unquantized model.
  at::Tensor read(const io::ModelDirectory::Tensor& stored, at::ScalarType dtype, at::Device device);

 private:
  at::Tensor buffer_;
};

}  // namespace graft::detail
