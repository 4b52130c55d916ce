#include "graft/models/load.h"

#include "graft/base/error.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"
#include "graft/io/quantization_config.h"
#include "graft/models/family.h"
#include "graft/models/host_memory.h"
#include "graft/models/weights.h"

namespace graft {
namespace {

double weight_bytes(const models::DecoderOptions& options, const at::TensorOptions& tensors, const io::LinearLoader* linears) {
  const auto width = static_cast<double>(tensors.dtype().itemsize());
  double bytes = static_cast<double>(models::parameter_count(options)) * width;
  if (linears == nullptr) return bytes;
  for (const auto& [path, shape] : models::linear_shapes(options))
    if (linears->takes(path)) bytes += static_cast<double>(shape[0] * shape[1]) * (linears->bytes_per_weight() - width);
  return bytes;
}

/// The kernel hands out memory that it does not have and kills the process later: what cannot fit is refused before.
void check_host_memory(const models::DecoderOptions& options, const at::TensorOptions& tensors, const io::LinearLoader* linears,
                       const std::filesystem::path& path) {
  if (!tensors.device().is_cpu()) return;
  const double needed = weight_bytes(options, tensors, linears);
  const auto limit = static_cast<double>(models::host_memory_limit());
  if (limit == 0 || needed <= limit) return;
  throw DataError("the model's weights take " + format_bytes(needed) + " but this machine gives the process " + format_bytes(limit))
      .at(path.string())
      .hint("use a smaller model, dtype bfloat16, or a GPU; if the size is a surprise, look at config.json");
}

/// read_decoder_options unties a head that the files keep apart.
void warn_about_head(const io::ModelDirectory& directory, const models::DecoderOptions& options) {
  const std::string config = (directory.path() / "config.json").string();
  if (!options.tied_embeddings && models::parse_decoder_options(directory.config_text(), config).tied_embeddings)
    log::warning(config + " ties the output head to the embeddings, but the files hold another lm_head.weight: that one is used");
}

}  // namespace

models::Decoder load_model(const std::filesystem::path& path, const LoadOptions& options) {
  const io::ModelDirectory directory(path,
                                     options.random_seed ? io::ModelDirectory::Open::kConfigOnly : io::ModelDirectory::Open::kWeights);
  const auto decoder_options = models::read_decoder_options(directory);
  if (!options.linears && !options.random_seed && io::read_quantization_config(directory))
    throw DataError("the model's weights are stored in 4 bits")
        .at(path.string())
        .hint("set LoadOptions::linears to graft::four_bit_loader(directory)");
  if (!options.random_seed) warn_about_head(directory, decoder_options);
  const io::LinearLoader* linears = options.random_seed ? nullptr : options.linears.get();
  if (!options.random_seed) models::check_weights(decoder_options, directory, linears);
  const auto tensor_options = at::TensorOptions(options.dtype.value_or(dtype_of(decoder_options.dtype))).device(options.device);
  check_host_memory(decoder_options, tensor_options, linears, path);
  auto decoder = models::make_decoder(decoder_options, tensor_options, linears);
  if (options.random_seed) {
    models::initialize_weights(decoder, *options.random_seed);
  } else {
    models::load_weights(decoder, directory, linears);
  }
  decoder->eval();
  return decoder;
}

}  // namespace graft
