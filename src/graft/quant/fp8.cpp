#include "graft/quant/fp8.h"

#include <ATen/Functions.h>

#include <mutex>

#include "graft/base/log.h"
#include "graft/ops/cuda_kernels.h"
#include "graft/quant/cuda_kernels.h"

namespace graft::quant {
namespace {

constexpr float kLargest = 448;
constexpr float kSmallest = 1e-30f;

const CudaKernels* kernels_for(const at::Tensor& tensor) { return tensor.is_cuda() ? compiled_cuda_kernels() : nullptr; }

void warn_once(const std::string& why) {
  static std::once_flag once;
  std::call_once(once, [&] { log::warning("FP8 weights are decoded before each product instead of multiplied as they are: " + why); });
}

}  // namespace

Fp8Rows to_fp8(const at::Tensor& x, const at::Tensor& column_factors) {
  const at::Tensor matrix = x.contiguous();
  if (const auto* kernels = kernels_for(matrix)) {
    Fp8Rows rows{at::empty(matrix.sizes(), matrix.options().dtype(at::kFloat8_e4m3fn)),
                 at::empty({matrix.size(0), 1}, matrix.options().dtype(at::kFloat))};
    const ops::CudaLaunch launch(matrix);
    kernels->encode_fp8_rows(ops::real_of(matrix), matrix.const_data_ptr(),
                             column_factors.defined() ? column_factors.const_data_ptr<float>() : nullptr, matrix.size(0), matrix.size(1),
                             rows.codes.mutable_data_ptr(), rows.scales.mutable_data_ptr<float>(), launch.stream());
    return rows;
  }
  at::Tensor wide = matrix.to(at::kFloat);
  if (column_factors.defined()) wide = wide * column_factors;
  if (wide.size(1) == 0) return {wide.to(at::kFloat8_e4m3fn), at::full({wide.size(0), 1}, kSmallest / kLargest, wide.options())};
  const at::Tensor magnitude = wide.abs().amax(1, /*keepdim=*/true).clamp_min(kSmallest);
  return {(wide * (kLargest / magnitude)).to(at::kFloat8_e4m3fn), magnitude / kLargest};
}

at::Tensor decode(const Fp8Rows& rows, at::ScalarType dtype) { return (rows.codes.to(at::kFloat) * rows.scales).to(dtype); }

at::Tensor transposed(const at::Tensor& codes) {
  const auto* kernels = kernels_for(codes);
  if (kernels == nullptr) return codes.t().contiguous();
  const at::Tensor result = at::empty({codes.size(1), codes.size(0)}, codes.options());
  const ops::CudaLaunch launch(codes);
  kernels->transpose_bytes(codes.const_data_ptr(), codes.size(0), codes.size(1), result.mutable_data_ptr(), launch.stream());
  return result;
}

bool multiplies_fp8(const at::Tensor& codes, at::ScalarType result) {
  if (!codes.is_cuda()) return false;
  const auto* kernels = compiled_cuda_kernels();
  const ops::CudaLaunch on_device(codes);
  if (kernels == nullptr)
    warn_once("this build of graft has no GPU kernels of its own (no nvcc when it was built)");
  else if (!kernels->has_fp8_products())
    warn_once("this GPU has no FP8 matrix units (compute capability 8.9 or later has)");
  else if (result != at::kBFloat16)
    warn_once("the compute dtype is not bfloat16");
  else if (codes.size(0) % 16 != 0 || codes.size(1) % 16 != 0)
    warn_once("a weight's sides are not multiples of 16");
  else
    return true;
  return false;
}

at::Tensor product(const Fp8Rows& x, const Fp8Rows& weight) {
  return at::_scaled_mm(x.codes, weight.codes.t(), x.scales, weight.scales.t(), /*bias=*/{}, /*scale_result=*/{}, at::kBFloat16,
                        /*use_fast_accum=*/true);
}

}  // namespace graft::quant
