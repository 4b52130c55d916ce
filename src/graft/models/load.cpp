#include "graft/models/load.h"

#include "graft/base/error.h"
#include "graft/models/family.h"
#include "graft/models/weights.h"

namespace graft {

at::ScalarType dtype_of(const std::string& name) {
  if (name == "float32" || name == "fp32") return at::kFloat;
  if (name == "bfloat16" || name == "bf16") return at::kBFloat16;
  if (name == "float16" || name == "fp16") return at::kHalf;
  throw UsageError("unknown dtype \"" + name + "\"; known are float32, bfloat16 and float16");
}

models::Decoder load_model(const std::filesystem::path& path, const LoadOptions& options) {
  const io::ModelDirectory directory(path,
                                     options.random_seed ? io::ModelDirectory::Open::kConfigOnly : io::ModelDirectory::Open::kWeights);
  const auto decoder_options = models::read_decoder_options(directory);
  if (!options.random_seed) models::check_weights(decoder_options, directory);
  const auto tensor_options = at::TensorOptions(options.dtype.value_or(dtype_of(decoder_options.dtype))).device(options.device);
  models::Decoder decoder(decoder_options, tensor_options);
  if (options.random_seed) {
    models::initialize_weights(decoder, *options.random_seed);
  } else {
    models::load_weights(decoder, directory);
  }
  decoder->eval();
  return decoder;
}

}  // namespace graft
