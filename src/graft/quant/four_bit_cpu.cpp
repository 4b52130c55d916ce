#include "graft/quant/four_bit_cpu.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "graft/base/cpu_clones.h"
#include "graft/ops/parallel.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define GRAFT_SSSE3 __attribute__((target("ssse3")))
#endif

namespace graft::quant::cpu {
namespace {

constexpr int64_t kGrain = 1 << 15;  // weights worth another thread
constexpr int64_t kLargestBlock = 4096;
constexpr uint32_t kInfinityBits = 0x7f800000;

/// Bits of the largest magnitude: as integers magnitudes keep their order, and NaN is above infinity.
GRAFT_CLONES uint32_t largest_magnitude(const float* x, int64_t count) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, x + i, sizeof bits);
    bits &= 0x7fffffffU;
    largest = bits > largest ? bits : largest;
  }
  return largest;
}

GRAFT_CLONES void nf4_codes(const float* __restrict x, float inverse, const float* __restrict thresholds, uint8_t* __restrict codes,
                            int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float value = x[i] * inverse;
    int rank = 0;
    for (int t = 0; t < 15; ++t) rank += value > thresholds[t] ? 1 : 0;
    codes[i] = static_cast<uint8_t>(rank);
  }
}

/// Rank of the magnitude, plus 8 for a negative value.
GRAFT_CLONES void fp4_ranks(const float* __restrict x, float inverse, const float* __restrict thresholds, uint8_t* __restrict ranks,
                            int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float value = x[i] * inverse, magnitude = value < 0 ? -value : value;
    int rank = value < 0 ? 8 : 0;
    for (int t = 0; t < 7; ++t) rank += magnitude > thresholds[t] ? 1 : 0;
    ranks[i] = static_cast<uint8_t>(rank);
  }
}

/// A stretch of weights as float32: in place, or cast into the buffer.
const float* as_floats(const void* weights, c10::ScalarType dtype, int64_t first, int64_t count, float* buffer) {
  if (dtype == c10::ScalarType::Float) return static_cast<const float*>(weights) + first;
  if (dtype == c10::ScalarType::BFloat16)
    std::copy_n(static_cast<const c10::BFloat16*>(weights) + first, count, buffer);
  else
    std::copy_n(static_cast<const c10::Half*>(weights) + first, count, buffer);
  return buffer;
}

void encode_block(const float* x, float inverse, FourBitType type, uint8_t* codes, int64_t count) {
  uint8_t plain[kLargestBlock + 1];
  if (type == FourBitType::kNf4) {
    nf4_codes(x, inverse, kNf4Thresholds.data(), plain, count);
  } else {
    fp4_ranks(x, inverse, kFp4Thresholds.data(), plain, count);
    for (int64_t i = 0; i < count; ++i) plain[i] = static_cast<uint8_t>(kFp4CodeOfRank[plain[i] & 7] | (plain[i] & 8));
  }
  // An odd number of weights leaves half a byte, which bitsandbytes fills with the code of 0.
  plain[count] = static_cast<uint8_t>(type == FourBitType::kNf4 ? 7 : 0);
  for (int64_t i = 0; i < count; i += 2) codes[i / 2] = static_cast<uint8_t>(plain[i] << 4 | plain[i + 1]);
}

float rounded(float value, c10::ScalarType dtype) {
  if (dtype == c10::ScalarType::BFloat16) return static_cast<float>(c10::BFloat16(value));
  if (dtype == c10::ScalarType::Half) return static_cast<float>(c10::Half(value));
  return value;
}

template <typename Out>
void look_up(const uint8_t* codes, const Out* table, Out* out, int64_t count) {
  for (int64_t i = 0; i + 1 < count; i += 2) {
    out[i] = table[codes[i / 2] >> 4];
    out[i + 1] = table[codes[i / 2] & 15];
  }
  if (count % 2 == 1) out[count - 1] = table[codes[count / 2] >> 4];
}

#ifdef GRAFT_SSSE3
/// Sixteen codes in order from eight bytes.
GRAFT_SSSE3 inline __m128i unpacked(const uint8_t* codes) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes)), low_half = _mm_set1_epi8(15);
  return _mm_unpacklo_epi8(_mm_and_si128(_mm_srli_epi16(bytes, 4), low_half), _mm_and_si128(bytes, low_half));
}

/// Byte `which` of each of the sixteen entries, which a byte shuffle looks up at once.
template <typename Out>
GRAFT_SSSE3 inline __m128i plane(const Out* table, size_t which) {
  alignas(16) uint8_t bytes[16];
  for (size_t i = 0; i < 16; ++i) std::memcpy(bytes + i, reinterpret_cast<const uint8_t*>(table + i) + which, 1);
  return _mm_load_si128(reinterpret_cast<const __m128i*>(bytes));
}

template <typename Out>
GRAFT_SSSE3 void look_up_fast(const uint8_t* codes, const Out* table, Out* out, int64_t count) {
  static_assert(sizeof(Out) == 2 || sizeof(Out) == 4);
  const __m128i p0 = plane(table, 0), p1 = plane(table, 1), p2 = plane(table, sizeof(Out) - 2), p3 = plane(table, sizeof(Out) - 1);
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m128i index = unpacked(codes + i / 2);
    auto* to = reinterpret_cast<__m128i*>(out + i);
    const __m128i b0 = _mm_shuffle_epi8(p0, index), b1 = _mm_shuffle_epi8(p1, index);
    const __m128i first = _mm_unpacklo_epi8(b0, b1), second = _mm_unpackhi_epi8(b0, b1);
    if constexpr (sizeof(Out) == 2) {
      _mm_storeu_si128(to, first);
      _mm_storeu_si128(to + 1, second);
    } else {
      const __m128i b2 = _mm_shuffle_epi8(p2, index), b3 = _mm_shuffle_epi8(p3, index);
      const __m128i first_high = _mm_unpacklo_epi8(b2, b3), second_high = _mm_unpackhi_epi8(b2, b3);
      _mm_storeu_si128(to, _mm_unpacklo_epi16(first, first_high));
      _mm_storeu_si128(to + 1, _mm_unpackhi_epi16(first, first_high));
      _mm_storeu_si128(to + 2, _mm_unpacklo_epi16(second, second_high));
      _mm_storeu_si128(to + 3, _mm_unpackhi_epi16(second, second_high));
    }
  }
  look_up(codes + i / 2, table, out + i, count - i);
}

bool shuffles_bytes() { return __builtin_cpu_supports("ssse3") != 0; }
#else
template <typename Out>
void look_up_fast(const uint8_t* codes, const Out* table, Out* out, int64_t count) {
  look_up(codes, table, out, count);
}

bool shuffles_bytes() { return false; }
#endif

/// A block has at most sixteen different weights: they are rounded once, and the codes look them up.
template <typename Out>
void decode_as(const uint8_t* codes, int64_t count, const float* map, const float* absmax, int64_t block, c10::ScalarType state_dtype,
               Out* out) {
  const bool fast = shuffles_bytes();
  ops::parallel_for((count + block - 1) / block, std::max<int64_t>(1, kGrain / block), [=](int64_t begin, int64_t end) {
    Out table[16];
    for (int64_t b = begin; b < end; ++b) {
      for (int i = 0; i < 16; ++i) table[i] = static_cast<Out>(rounded(map[i] * absmax[b], state_dtype));
      const int64_t first = b * block, size = std::min(block, count - first);
      fast ? look_up_fast(codes + first / 2, table, out + first, size) : look_up(codes + first / 2, table, out + first, size);
    }
  });
}

}  // namespace

bool encode(const void* weights, c10::ScalarType dtype, int64_t count, FourBitType type, int64_t block, uint8_t* codes, float* absmax) {
  std::atomic<bool> finite{true};
  ops::parallel_for((count + block - 1) / block, std::max<int64_t>(1, kGrain / block), [=, &finite](int64_t begin, int64_t end) {
    float buffer[kLargestBlock];
    for (int64_t b = begin; b < end; ++b) {
      const int64_t first = b * block, size = std::min(block, count - first);
      const float* x = as_floats(weights, dtype, first, size, buffer);
      const uint32_t bits = largest_magnitude(x, size);
      if (bits >= kInfinityBits) {
        finite = false;
        return;
      }
      std::memcpy(absmax + b, &bits, sizeof bits);
      encode_block(x, 1.0F / absmax[b], type, codes + first / 2, size);
    }
  });
  return finite;
}

void decode(const uint8_t* codes, int64_t count, const float* map, const float* absmax, int64_t block, c10::ScalarType state_dtype,
            c10::ScalarType out_dtype, void* out) {
  if (out_dtype == c10::ScalarType::BFloat16)
    decode_as(codes, count, map, absmax, block, state_dtype, static_cast<c10::BFloat16*>(out));
  else if (out_dtype == c10::ScalarType::Half)
    decode_as(codes, count, map, absmax, block, state_dtype, static_cast<c10::Half*>(out));
  else
    decode_as(codes, count, map, absmax, block, state_dtype, static_cast<float*>(out));
}

void encode_absmax(const float* values, int64_t count, int64_t group, uint8_t* codes, float* largest) {
  ops::parallel_for((count + group - 1) / group, 8, [=](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      const int64_t first = g * group, size = std::min(group, count - first);
      const uint32_t bits = largest_magnitude(values + first, size);
      std::memcpy(largest + g, &bits, sizeof bits);
      const float inverse = 1.0F / largest[g];
      for (int64_t i = first; i < first + size; ++i) codes[i] = nearest_in_dynamic_map(values[i] * inverse);
    }
  });
}

void decode_absmax(const uint8_t* codes, int64_t count, const float* map, const float* largest, int64_t group, float offset, float* out) {
  // Two loops: in one, a compiler may fuse the product and the sum into one rounding.
  ops::parallel_for(count, kGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = map[codes[i]] * largest[i / group];
  });
  ops::parallel_for(count, kGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] += offset;
  });
}

}  // namespace graft::quant::cpu
