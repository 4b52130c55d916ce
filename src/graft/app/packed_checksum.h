#pragma once

#include <string>
#include <string_view>

#include "graft/io/safetensors.h"

namespace graft::app {

/// Finds flipped bits in a packed copy: the checksum of a tensor's bytes, as text for its manifest. Made of the sums of small pieces, so
/// that threads can share a tensor. A file that is about to be loaded is read a little earlier and once more out of the page cache, for the
/// bytes that are loaded may go straight to a GPU. On LibTorch's threads, at about 4 GB/s each: 5 GB cost well below a second.
std::string packed_checksum(const io::SafetensorsFile& file, const io::TensorEntry& entry);

/// The same of bytes in memory, on the calling thread alone: a copy is written beside the training.
std::string packed_checksum(std::string_view bytes);

}  // namespace graft::app
