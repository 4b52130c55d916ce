#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "graft/io/safetensors.h"

namespace graft::io {

at::ScalarType to_scalar_type(DType dtype);
/// DataError for a scalar type the format cannot hold (complex, quantized).
DType to_dtype(at::ScalarType type);

/// The tensor as it lies in the file, on the CPU, without a copy: it keeps the file's memory alive. Copied when its start is not
/// aligned for its dtype. Of a mapped file (kForeign) writing into it changes a private copy, never the file. DataError when a BOOL
/// tensor holds other bytes than 0 and 1 (undefined behaviour in C++).
at::Tensor view(const SafetensorsFile& file, const TensorEntry& entry);

/// The tensor was copied elsewhere: its mapped pages go back to the system, so that reading a whole model takes no more host memory
/// than the copies plus one tensor. Views of it stay valid (they are read again from the disk).
void release_pages(const SafetensorsFile& file, const TensorEntry& entry);

/// Writes one file (SafetensorsWriter: atomic, durable), one contiguous CPU copy at a time. Any device, any strides.
void save_tensors(const std::filesystem::path& path, const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                  const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

/// Every tensor of a small file (adapter, checkpoint) in memory of its own.
std::map<std::string, at::Tensor> load_tensors(const std::filesystem::path& path, Strictness strictness = Strictness::kOwn);

}  // namespace graft::io
