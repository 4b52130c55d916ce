#pragma once

#include <cstdint>

namespace graft::ops::cpu {

/// drop() over `count` entries of `size` bytes (2, 4 or 8) on the CPU. output may be input.
void drop(const void* input, int64_t size, int64_t count, uint64_t seed, uint32_t threshold, void* output);

}  // namespace graft::ops::cpu
