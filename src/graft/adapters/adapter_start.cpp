#include "graft/adapters/adapter_start.h"

#include <memory>

#include "graft/base/error.h"
#include "graft/io/model_directory.h"
#include "graft/io/quantization_config.h"
#include "graft/io/tensor_file.h"

namespace graft {

std::function<at::Tensor(const std::string&)> unquantized_weights(const std::filesystem::path& model, at::ScalarType dtype) {
  const auto directory = std::make_shared<const io::ModelDirectory>(model);
  if (io::read_quantization_config(*directory))
    throw UsageError("the model's weights are stored in 4 bits: what they were before is not there to start an adapter from")
        .at(model.string())
        .hint("use the unquantized model and quantize it while loading");
  return [directory, dtype](const std::string& module) {
    const auto found = directory->at(module + ".weight");
    at::Tensor weight = io::view(*found.file, *found.entry).to(dtype, /*non_blocking=*/false, /*copy=*/true);
    io::release_pages(*found.file, *found.entry);
    return weight;
  };
}

}  // namespace graft
