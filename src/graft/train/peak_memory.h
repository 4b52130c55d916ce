#pragma once

#include <c10/core/Device.h>

#include <cstdint>

namespace graft::train {

/// The most memory the run has held so far: on a GPU the caching allocator's peak of allocated bytes (what PyTorch reports as
/// max_memory_allocated), on a CPU the process's peak resident set (VmHWM). 0 when the system does not say.
int64_t peak_memory_bytes(c10::Device device);

/// The most memory the caching allocator has held from the device, free blocks included (PyTorch's max_memory_reserved). 0 on a CPU.
int64_t peak_reserved_bytes(c10::Device device);

}  // namespace graft::train
