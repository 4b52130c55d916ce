#pragma once

#include "graft/quant/adam_rule.h"

/// The loop behind eight_bit_adam.h on the CPU, on raw pointers.
namespace graft::quant::cpu {

void eight_bit_adamw(float* parameter, const float* gradient, int64_t count, const MomentPointers& moments, const AdamRule& rule);

}  // namespace graft::quant::cpu
