#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace graft::models {

/// Keys and values of every layer for generation: sequences of equal length, one per row, no padding. Buffers double when full.
struct KeyValueCache {
  explicit KeyValueCache(int64_t layers) : keys(static_cast<size_t>(layers)), values(static_cast<size_t>(layers)) {}

  /// Appends [rows, new, heads, size] at `length` of this layer and replaces both by views of everything so far.
  void append(int64_t layer, at::Tensor* key, at::Tensor* value);

  int64_t length = 0;  ///< positions held; the decoder adds to it once a forward pass is done
  std::vector<at::Tensor> keys, values;
};

}  // namespace graft::models
