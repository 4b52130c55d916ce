#include "graft/quant/cuda_kernels.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <map>
#include <mutex>

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

/// Both dynamic maps, copied to a device once.
at::Tensor maps_on(at::Device device) {
  static std::mutex mutex;
  static auto& kept = *new std::map<c10::DeviceIndex, at::Tensor>;  // not freed: the device may be gone before static destructors run
  const std::lock_guard<std::mutex> lock(mutex);
  at::Tensor& maps = kept[device.index()];
  if (!maps.defined()) {
    at::Tensor host = at::empty({512}, at::kFloat);
    std::copy(dynamic_map().begin(), dynamic_map().end(), host.mutable_data_ptr<float>());
    std::copy(unsigned_dynamic_map().begin(), unsigned_dynamic_map().end(), host.mutable_data_ptr<float>() + 256);
    maps = host.to(device);
  }
  return maps;
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

void eight_bit_adamw(const CudaKernels& kernels, const at::Tensor& parameter, const at::Tensor& gradient, const MomentPointers& moments,
                     const AdamRule& rule, const at::Tensor& skip) {
  const at::Tensor maps = maps_on(parameter.device());
  const at::Tensor flag = skip.defined() ? skip.to(parameter.device(), at::kFloat) : at::Tensor();
  const ops::CudaLaunch launch(parameter);
  kernels.eight_bit_adamw(parameter.mutable_data_ptr<float>(), gradient.const_data_ptr<float>(), parameter.numel(), moments, rule,
                          maps.const_data_ptr<float>(), flag.defined() ? flag.const_data_ptr<float>() : nullptr, launch.stream());
}

}  // namespace graft::quant::gpu
