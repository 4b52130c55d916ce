#include "graft/adapters/quantizing_loader.h"

#include <ATen/Functions.h>

#include "graft/adapters/frozen_module.h"
#include "graft/io/tensor_file.h"
#include "graft/io/tensor_read.h"

namespace graft {

QuantizingLoader::QuantizingLoader(std::shared_ptr<const LinearFormat> format) : format_(std::move(format)) { format_->check(); }

bool QuantizingLoader::takes(const std::string& path) const { return path != "lm_head" && !detail::skips(format_->skip(), path); }

std::vector<std::string> QuantizingLoader::companions(const std::string& /*path*/) const { return {}; }

bool QuantizingLoader::check(const std::string& /*path*/, const std::vector<int64_t>& /*shape*/,
                             const io::ModelDirectory& /*directory*/) const {
  return false;
}

void QuantizingLoader::load(const std::shared_ptr<torch::nn::Module>& linear, const std::string& path, const io::ModelDirectory& directory,
                            const at::TensorOptions& options) const {
  detail::store_frozen(linear, path, weight(path, directory, options));
}

std::shared_ptr<ops::FrozenWeight> QuantizingLoader::weight(const std::string& path, const io::ModelDirectory& directory,
                                                            const at::TensorOptions& options) const {
  const auto found = directory.at(path + ".weight");
  const at::Tensor dense = read(found, c10::typeMetaToScalarType(options.dtype()), options.device());
  auto stored = format_->store(dense, directory.path().string() + ": " + path + ".weight");
  io::release_pages(*found.file, *found.entry);
  return std::move(stored.weight);
}

/// On a CPU valid until the next call: a buffer for each weight, between codes that stay, would leave holes as large as the unquantized
/// model.
at::Tensor QuantizingLoader::read(const io::ModelDirectory::Tensor& stored, at::ScalarType dtype, at::Device device) const {
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

}  // namespace graft
