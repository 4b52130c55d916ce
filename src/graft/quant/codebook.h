#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace graft::quant {

/// The two 4-bit formats of bitsandbytes. NF4: quantiles of a normal distribution (Dettmers et al. 2023, arXiv:2305.14314). FP4: sign and
/// one of eight magnitudes.
enum class FourBitType { kNf4, kFp4 };

/// "nf4", "fp4".
const char* to_string(FourBitType type);
/// UsageError, with the nearest name, for anything else.
FourBitType four_bit_type(const std::string& name);

/// code → value in [-1, 1], float32. FP4's code 8 is -0.
const std::array<float, 16>& codebook(FourBitType type);

/// What separates two neighbours of a codebook, ascending: of NF4's values, of FP4's magnitudes. These are the constants of bitsandbytes'
/// CUDA kernels, not the midpoints. A value equal to a threshold stays below it.
extern const std::array<float, 15> kNf4Thresholds;
extern const std::array<float, 7> kFp4Thresholds;
/// FP4's codes (without the sign bit) by ascending magnitude.
extern const std::array<uint8_t, 8> kFp4CodeOfRank;

/// The signed dynamic 8-bit map (Dettmers et al. 2022, arXiv:2110.02861), ascending: what double quantization stores block maxima with.
const std::array<float, 256>& dynamic_map();
/// The nearest entry of the map to x in [-1, 1], found as bitsandbytes' CUDA kernel does: half-way cases go away from its search's last
/// step, NaN (0 / 0 in a block of zeros) to code 0.
uint8_t nearest_in_dynamic_map(float x);

/// The unsigned map, of [0, 1], ascending from 0: what an 8-bit optimizer stores running squares with. The search is the same.
const std::array<float, 256>& unsigned_dynamic_map();
uint8_t nearest_in_unsigned_dynamic_map(float x);

}  // namespace graft::quant
