#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "graft/io/model_directory.h"

namespace torch::nn {
class Module;
}

namespace graft::io {

/// Puts the weights of some Linear modules in place in a form of its own (quantized) while a model is streamed from disk. A model loader
/// never allocates those weights; it hands over the module and the place of the tensor. One weight is handled at a time.
class LinearLoader {
 public:
  virtual ~LinearLoader() = default;

  /// Whether it stores the weight of the Linear at this path ("model.layers.0.mlp.up_proj").
  virtual bool takes(const std::string& path) const = 0;
  /// Tensors on disk that belong to this weight besides "<path>.weight".
  virtual std::vector<std::string> companions(const std::string& path) const = 0;
  /// Whether "<path>.weight" lies on disk in a form of its own as well. DataError, by name, when that form is damaged or does not give
  /// [out, in]. False: it is an ordinary tensor, to be checked like any other. Reads headers, and small tensors at most.
  virtual bool check(const std::string& path, const std::vector<int64_t>& shape, const ModelDirectory& directory) const = 0;
  /// Bytes that one weight takes once in place, scales included.
  virtual double bytes_per_weight() const = 0;
  /// Reads the weight and puts it in place, on the given device and as if it had the given dtype. DataError by name.
  virtual void load(const std::shared_ptr<torch::nn::Module>& linear, const std::string& path, const ModelDirectory& directory,
                    const at::TensorOptions& options) const = 0;
};

}  // namespace graft::io
