#include "graft/quant/cuda_kernels.h"

#include <ATen/Functions.h>

#include <algorithm>

#include "graft/ops/cuda_kernels.h"

namespace graft::quant::gpu {
namespace {

cuda::EncodeRule rule_of(FourBitType type) {
  cuda::EncodeRule rule;
  rule.nf4 = type == FourBitType::kNf4;
  rule.nf4 ? (void)std::copy(kNf4Thresholds.begin(), kNf4Thresholds.end(), rule.thresholds)
           : (void)std::copy(kFp4Thresholds.begin(), kFp4Thresholds.end(), rule.thresholds);
  std::copy(kFp4CodeOfRank.begin(), kFp4CodeOfRank.end(), rule.code_of_rank);
  return rule;
}

}  // namespace

void decode(const CudaKernels& kernels, const FourBitTensor& tensor, const at::Tensor& out) {
  cuda::BlockScales scales;
  scales.absmax = tensor.absmax.const_data_ptr();
  if (tensor.nested()) {
    scales.nested_map = tensor.nested_map.const_data_ptr<float>();
    scales.nested_absmax = tensor.nested_absmax.const_data_ptr<float>();
    scales.offset = tensor.offset;
    scales.nested_block = tensor.nested_block;
  }
  const ops::CudaLaunch launch(tensor.codes);
  kernels.decode_four_bit(tensor.codes.const_data_ptr<uint8_t>(), tensor.code_map.const_data_ptr<float>(), scales, tensor.block,
                          tensor.shape[0], tensor.shape[1], ops::real_of(tensor.dtype), ops::real_of(out.scalar_type()),
                          out.mutable_data_ptr(), out.stride(0), launch.stream());
}

bool encode(const CudaKernels& kernels, const at::Tensor& weight, const FourBitTensor& tensor) {
  at::Tensor not_finite = at::zeros({1}, weight.options().dtype(at::kInt));
  const ops::CudaLaunch launch(weight);
  kernels.encode_four_bit(ops::real_of(weight.scalar_type()), weight.const_data_ptr(), weight.numel(), rule_of(tensor.type), tensor.block,
                          tensor.codes.mutable_data_ptr<uint8_t>(), tensor.absmax.mutable_data_ptr<float>(),
                          not_finite.mutable_data_ptr<int>(), launch.stream());
  return not_finite.item<int>() == 0;
}

}  // namespace graft::quant::gpu
