#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "graft/adapters/target_resolution.h"

namespace graft::detail {

/// A or B as PEFT starts them, float32 on the CPU: a pure function of (seed, module path), the same on every device.
///   Linear     A ~ U(±1/sqrt(in)) ("default") or N(0, 1/rank²) ("gaussian"), B = 0
///   Embedding  A = 0, B ~ N(0, 1)
at::Tensor initial_factor(const std::vector<int64_t>& shape, bool is_a, const Target& target, const std::string& init, uint64_t seed);

}  // namespace graft::detail
