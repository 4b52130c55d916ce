#pragma once

#include <cstdint>

namespace graft::quant {

/// One step of AdamW in float32 on running averages kept in 8 bits, as bitsandbytes' CUDA kernel orders it:
///
///   m ← β₁·m + (1−β₁)·g      v ← β₂·v + ((1−β₂)·g)·g      p ← (p + step_size·(m / (√v + epsilon)))·keep
///
/// The corrections of both averages for step k are in step_size = −rate·√(1−β₂ᵏ)/(1−β₁ᵏ) and epsilon = ε·√(1−β₂ᵏ); keep = 1 − rate·λ.
struct AdamRule {
  float beta1 = 0, beta2 = 0, share1 = 0, share2 = 0;  ///< β₁, β₂, 1 − β₁, 1 − β₂
  float step_size = 0, epsilon = 0, keep = 1;
};

inline constexpr int64_t kMomentBlock = 256;  ///< numbers that share one maximum

/// The moments of `count` numbers, cut into blocks of 256 (the last may be short).
struct MomentPointers {
  uint8_t* mean = nullptr;         ///< [count], codes of the signed dynamic map
  uint8_t* square = nullptr;       ///< [count], of the unsigned one
  float* mean_absmax = nullptr;    ///< [blocks]
  float* square_absmax = nullptr;  ///< [blocks]
};

}  // namespace graft::quant
