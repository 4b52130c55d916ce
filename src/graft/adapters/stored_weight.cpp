#include "graft/adapters/stored_weight.h"

#include <ATen/Functions.h>

#include "graft/io/tensor_dtype.h"
#include "graft/io/tensor_file.h"
#include "graft/io/tensor_read.h"

namespace graft::detail {

at::Tensor StoredWeightReader::read(const io::ModelDirectory::Tensor& stored, at::ScalarType dtype, at::Device device) {
  if (!device.is_cpu()) {
    const at::Tensor bytes = io::read_bytes(*stored.file, *stored.entry, device);
    return bytes.view(io::to_scalar_type(stored.entry->dtype)).view(stored.entry->shape).to(dtype);
  }
  const at::Tensor mapped = io::view(*stored.file, *stored.entry);
  if (mapped.scalar_type() == dtype) return mapped;
  if (!buffer_.defined() || buffer_.numel() < mapped.numel() || buffer_.scalar_type() != dtype)
    buffer_ = at::empty({mapped.numel()}, dtype);
  return buffer_.narrow(0, 0, mapped.numel()).view(mapped.sizes()).copy_(mapped);
}

}  // namespace graft::detail
