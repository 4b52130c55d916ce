#pragma once

#include <ATen/core/Tensor.h>

namespace graft::quant {

/// A matrix in FP8 (E4M3: 4 exponent and 3 mantissa bits, largest 448) with one scale a row (Micikevicius et al. 2022, arXiv:2209.05433;
/// row-wise scales as in torchao's float8 training): entry = code · scale of its row.
struct Fp8Rows {
  at::Tensor codes;   ///< float8_e4m3fn [rows, width], contiguous
  at::Tensor scales;  ///< float32 [rows, 1]
};

/// x [rows, width] (float32, bfloat16, float16) in FP8: m = the row's largest magnitude (at least 10⁻³⁰), scale = m / 448, code =
/// x · (448 / m) in float32, rounded to the nearest, ties to even. `column_factors` float32 [width] (may be undefined): x is multiplied by
/// them first, in float32. A row with a NaN or an infinity comes out as NaN. The same bits on every device.
Fp8Rows to_fp8(const at::Tensor& x, const at::Tensor& column_factors = {});

/// code · scale, one float32 product rounded to `dtype`.
at::Tensor decode(const Fp8Rows& rows, at::ScalarType dtype);

/// The codes [rows, width] as a contiguous [width, rows].
at::Tensor transposed(const at::Tensor& codes);

/// Whether this device multiplies FP8 matrices of these widths itself (LibTorch's _scaled_mm with row-wise scales: compute capability 8.9
/// on, widths that are multiples of 16, bfloat16 results). Says once, in a warning, why not when the device is a GPU.
bool multiplies_fp8(const at::Tensor& codes, at::ScalarType result);

/// x·Wᵀ [rows of x, rows of W] in bfloat16, both in FP8 on a GPU for which multiplies_fp8 holds. Sums are accumulated in the tensor cores'
/// own precision (error 2 to 5·10⁻³ relative against 2.6·10⁻² of the rounding to FP8).
at::Tensor product(const Fp8Rows& x, const Fp8Rows& weight);

}  // namespace graft::quant
