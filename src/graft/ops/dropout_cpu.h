#pragma once

#include <cstdint>

#include "graft/ops/dropout_rule.h"

namespace graft::ops::cpu {

/// drop() over `count` entries of `size` bytes (2, 4 or 8) on the CPU. output may be input.
void drop(const void* input, int64_t size, int64_t count, const DropoutRule& rule, void* output);

}  // namespace graft::ops::cpu
