#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <string>

namespace graft {

/// What an adapter that starts from the base's weights (LoraOptions::init "pissa" and "loftq") may need besides the model.
struct AdapterStart {
  /// The weight [out, in], before quantization, of a module whose base is stored in 4 bits, by the module's path. Called once a module, one
  /// after another; see unquantized_weights.
  std::function<at::Tensor(const std::string& module)> unquantized = {};
  /// A directory that AdapterSet::save wrote for an adapter of the same options (a checkpoint). "pissa" takes its start from there instead
  /// of computing it: the base becomes what it was, whatever device or number of threads the decomposition ran on.
  std::filesystem::path saved = {};
};

/// For AdapterStart: reads the plain weight "<module>.weight" of a model directory, cast to `dtype` (which load_model rounded it to before
/// it was quantized). Memory: one weight at a time. UsageError when the directory itself is quantized: what was rounded off is lost.
std::function<at::Tensor(const std::string& module)> unquantized_weights(const std::filesystem::path& model, at::ScalarType dtype);

}  // namespace graft
