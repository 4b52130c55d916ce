#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "graft/adapters/quantize.h"
#include "graft/io/linear_loader.h"

namespace graft {

/// For LoadOptions::linears: stores every Linear below the output head that the format does not skip in that format, layer by layer, as it
/// comes from disk (cast to the model's dtype first). The largest amount of memory taken is that of the quantized model plus one weight.
class QuantizingLoader : public io::LinearLoader {
 public:
  /// UsageError when an option of the format has no meaning.
  explicit QuantizingLoader(std::shared_ptr<const LinearFormat> format);

  bool takes(const std::string& path) const override;
  std::vector<std::string> companions(const std::string& path) const override;
  bool check(const std::string& path, const std::vector<int64_t>& shape, const io::ModelDirectory& directory) const override;
  double bytes_per_weight() const override { return format_->bytes_per_weight(); }
  void load(const std::shared_ptr<torch::nn::Module>& linear, const std::string& path, const io::ModelDirectory& directory,
            const at::TensorOptions& options) const override;

 protected:
  /// The weight "<path>.weight" in its format, on the options' device.
  virtual std::shared_ptr<ops::FrozenWeight> weight(const std::string& path, const io::ModelDirectory& directory,
                                                    const at::TensorOptions& options) const;

 private:
  at::Tensor read(const io::ModelDirectory::Tensor& stored, at::ScalarType dtype, at::Device device) const;

  std::shared_ptr<const LinearFormat> format_;
  mutable at::Tensor buffer_;  // of all casts on a CPU
};

}  // namespace graft
