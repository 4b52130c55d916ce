#pragma once

#include <ATen/core/Tensor.h>

#include "graft/io/safetensors.h"

namespace graft::io {

/// Reads the tensor's bytes from the file into `into`: contiguous, as many bytes, on any device, whatever its dtype. LibTorch's threads
/// read pieces at the same time, which is what a page cache and an NVMe disk need to be fast; on a GPU the bytes go through two pinned
/// buffers, so that one is filled while the other is copied. Nothing is mapped. It has arrived when this returns. DataError when the file
/// is cut short meanwhile.
void read_into(const SafetensorsFile& file, const TensorEntry& entry, const at::Tensor& into);

/// The same into a new list of bytes on the device.
at::Tensor read_bytes(const SafetensorsFile& file, const TensorEntry& entry, at::Device device);

}  // namespace graft::io
