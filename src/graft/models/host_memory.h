#pragma once

#include <cstdint>

namespace graft::models {

/// Bytes this process may use at most: physical memory, or the control group's limit when that is lower. 0 when unknown.
uint64_t host_memory_limit();

}  // namespace graft::models
