#include "graft/quant/four_bit.h"

#include <ATen/Functions.h>

#include "graft/base/error.h"
#include "graft/quant/cuda_kernels.h"
#include "graft/quant/four_bit_cpu.h"

namespace graft::quant {
namespace {

template <size_t kSize>
at::Tensor as_tensor(const std::array<float, kSize>& values) {
  return at::from_blob(const_cast<float*>(values.data()), {static_cast<int64_t>(kSize)}, at::kFloat).clone();
}

bool has_kernel(at::Device device) { return device.is_cuda() && compiled_cuda_kernels() != nullptr; }

/// The second level: maxima minus their mean, in blocks of 256, in the dynamic map. The mean is LibTorch's, as bitsandbytes takes it.
void nest(FourBitTensor* tensor) {
  tensor->absmax = tensor->absmax.cpu();  // one order of summation, whatever the device: the same bits everywhere
  const at::Tensor mean = tensor->absmax.mean();
  const at::Tensor centred = tensor->absmax - mean;
  tensor->offset = mean.item<float>();
  const int64_t count = centred.numel(), groups = (count + tensor->nested_block - 1) / tensor->nested_block;
  tensor->absmax = at::empty({count}, at::kByte);
  tensor->nested_absmax = at::empty({groups}, at::kFloat);
  tensor->nested_map = as_tensor(dynamic_map());
  cpu::encode_absmax(centred.const_data_ptr<float>(), count, tensor->nested_block, tensor->absmax.mutable_data_ptr<uint8_t>(),
                     tensor->nested_absmax.mutable_data_ptr<float>());
}

}  // namespace

int64_t FourBitTensor::bytes() const {
  return static_cast<int64_t>(codes.nbytes() + absmax.nbytes() + (nested() ? nested_absmax.nbytes() : 0));
}

void FourBitTensor::move(at::Device device) {
  for (at::Tensor* part : {&codes, &code_map, &absmax, &nested_absmax, &nested_map})
    if (part->defined()) *part = part->to(device);
}

void check_block(int64_t block) {
  if (block < 32 || block > 4096 || (block & (block - 1)) != 0)
    throw UsageError("a block of " + std::to_string(block) + " weights has no 4-bit form")
        .hint("use 64 (usual), or another power of two from 32 to 4096");
}

FourBitTensor encode(const at::Tensor& weight, const FourBitOptions& options, const std::string& name) {
  check_block(options.block);
  if (weight.dim() != 2 || weight.numel() == 0) throw UsageError("only a matrix with entries can be stored in 4 bits").at(name);
  if (weight.scalar_type() != at::kFloat && weight.scalar_type() != at::kBFloat16 && weight.scalar_type() != at::kHalf)
    throw UsageError(std::string("a weight of ") + c10::toString(weight.scalar_type()) + " cannot be stored in 4 bits")
        .at(name)
        .hint("cast it to float32, bfloat16 or float16 first");
  const at::Device device = weight.device();
  const bool on_device = has_kernel(device);
  const at::Tensor values = on_device ? weight.detach().contiguous() : weight.detach().cpu().contiguous();
  FourBitTensor tensor;
  tensor.type = options.type;
  tensor.block = options.block;
  tensor.dtype = weight.scalar_type();
  tensor.shape = weight.sizes().vec();
  tensor.codes = at::empty({(values.numel() + 1) / 2}, values.options().dtype(at::kByte));
  tensor.code_map = as_tensor(codebook(options.type));
  tensor.absmax = at::empty({tensor.blocks()}, values.options().dtype(at::kFloat));
  const bool finite = on_device ? gpu::encode(*compiled_cuda_kernels(), values, tensor)
                                : cpu::encode(values.const_data_ptr(), values.scalar_type(), values.numel(), options.type, options.block,
                                              tensor.codes.mutable_data_ptr<uint8_t>(), tensor.absmax.mutable_data_ptr<float>());
  if (!finite)
    throw DataError("the weight holds NaN or infinity and cannot be quantized")
        .at(name)
        .hint("the file is damaged, or float16 is too narrow for this model: use bfloat16 or float32");
  if (options.double_quant) nest(&tensor);
  if (!device.is_cpu()) tensor.move(device);
  return tensor;
}

at::Tensor decode_absmax(const FourBitTensor& tensor) {
  if (!tensor.nested()) return tensor.absmax;
  const at::Tensor codes = tensor.absmax.cpu(), map = tensor.nested_map.cpu(), largest = tensor.nested_absmax.cpu();
  at::Tensor maxima = at::empty({tensor.blocks()}, at::kFloat);
  cpu::decode_absmax(codes.const_data_ptr<uint8_t>(), tensor.blocks(), map.const_data_ptr<float>(), largest.const_data_ptr<float>(),
                     tensor.nested_block, tensor.offset, maxima.mutable_data_ptr<float>());
  return maxima.to(tensor.codes.device());
}

at::Tensor decode(const FourBitTensor& tensor, at::ScalarType dtype) {
  if (dtype != at::kFloat && dtype != at::kBFloat16 && dtype != at::kHalf)
    return decode(tensor, at::kFloat).to(dtype);  // float64: a gradient check
  if (has_kernel(tensor.codes.device())) {
    at::Tensor out = at::empty(tensor.shape, tensor.codes.options().dtype(dtype));
    gpu::decode(*compiled_cuda_kernels(), tensor, out);
    return out;
  }
  const at::Tensor codes = tensor.codes.cpu(), map = tensor.code_map.cpu(), maxima = decode_absmax(tensor).cpu();
  at::Tensor out = at::empty(tensor.shape, dtype);
  cpu::decode(codes.const_data_ptr<uint8_t>(), tensor.numel(), map.const_data_ptr<float>(), maxima.const_data_ptr<float>(), tensor.block,
              tensor.dtype, dtype, out.mutable_data_ptr());
  return out.to(tensor.codes.device());
}

void decode_into(const FourBitTensor& tensor, const at::Tensor& out) {
  if (out.sizes() != at::IntArrayRef(tensor.shape) || out.stride(1) != 1 || out.device() != tensor.codes.device())
    throw InternalError("decode_into: the matrix does not fit the weight");
  const auto dtype = out.scalar_type();
  const bool known = dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf;
  if (known && has_kernel(out.device())) {
    gpu::decode(*compiled_cuda_kernels(), tensor, out);
  } else {
    out.copy_(decode(tensor, dtype));
  }
}

}  // namespace graft::quant
