#include "graft/adapters/four_bit_loader.h"

#include <set>

#include "graft/adapters/four_bit_files.h"
#include "graft/adapters/frozen_module.h"
#include "graft/adapters/stored_weight.h"
#include "graft/base/error.h"
#include "graft/io/quantization_config.h"
#include "graft/io/tensor_dtype.h"
#include "graft/io/tensor_file.h"
#include "graft/quant/four_bit_weight.h"

namespace graft {
namespace {

/// Weights that are in 4 bits on disk.
class StoredLinears final : public io::LinearLoader {
 public:
  StoredLinears(const io::ModelDirectory& directory, const io::QuantizationConfig& config, std::optional<at::ScalarType> compute)
      : nested_(config.double_quant), compute_(compute.value_or(dtype_of(config.compute_dtype))) {
    const std::string middle = ".weight.quant_state.";
    for (const std::string& name : directory.tensor_names())
      if (const auto at = name.find(middle); at != std::string::npos) paths_.insert(name.substr(0, at));
    if (paths_.empty())
      throw DataError("config.json says that the model is quantized, but no weight has a quantization state")
          .at(directory.path().string())
          .hint("take quantization_config out of config.json if the weights are plain");
  }

  bool takes(const std::string& path) const override { return paths_.count(path) > 0; }
  std::vector<std::string> companions(const std::string& path) const override { return detail::four_bit_companions(path); }
  bool check(const std::string& path, const std::vector<int64_t>& shape, const io::ModelDirectory& directory) const override {
    if (!directory.find(path + ".weight")) return false;
    detail::check_four_bit(directory, path, shape);
    return true;
  }
  double bytes_per_weight() const override { return io::four_bit_bytes_per_weight(64, nested_); }
  void load(const std::shared_ptr<torch::nn::Module>& linear, const std::string& path, const io::ModelDirectory& directory,
            const at::TensorOptions& options) const override {
    auto tensor = detail::read_four_bit(directory, path, {}, options.device());
    const auto dtype = c10::typeMetaToScalarType(options.dtype());
    detail::store_frozen(linear, path, std::make_shared<quant::FourBitWeight>(std::move(tensor), dtype, compute_));
  }

 private:
  std::set<std::string> paths_;
  bool nested_;
  at::ScalarType compute_;
};

/// Weights that are plain on disk and quantized on the way.
class QuantizedLinears final : public io::LinearLoader {
 public:
  QuantizedLinears(FourBitLinears how, std::shared_ptr<PackedWeights> packed) : how_(std::move(how)), packed_(std::move(packed)) {}

  bool takes(const std::string& path) const override { return path != "lm_head" && !detail::skips(how_.skip(), path); }
  std::vector<std::string> companions(const std::string&) const override { return {}; }
  bool check(const std::string&, const std::vector<int64_t>&, const io::ModelDirectory&) const override { return false; }
  double bytes_per_weight() const override { return io::four_bit_bytes_per_weight(how_.options().block, how_.options().double_quant); }
  void load(const std::shared_ptr<torch::nn::Module>& linear, const std::string& path, const io::ModelDirectory& directory,
            const at::TensorOptions& options) const override {
    const auto found = directory.at(path + ".weight");
    const auto dtype = c10::typeMetaToScalarType(options.dtype());
    auto tensor = packed_ ? packed_->find(path, found.entry->shape, options.device()) : std::nullopt;
    if (!tensor) {
      tensor =
          quant::encode(reader_.read(found, dtype, options.device()), how_.options(), directory.path().string() + ": " + path + ".weight");
      io::release_pages(*found.file, *found.entry);
      if (packed_) packed_->add(path, *tensor);
    }
    detail::store_frozen(linear, path, std::make_shared<quant::FourBitWeight>(*std::move(tensor), dtype));
  }

 private:
  FourBitLinears how_;
  std::shared_ptr<PackedWeights> packed_;
  mutable detail::StoredWeightReader reader_;
};

void check_agreement(const io::QuantizationConfig& config, const FourBitLinears& how, const std::filesystem::path& model) {
  const auto& options = how.options();
  if (config.type == quant::to_string(options.type) && config.double_quant == options.double_quant) return;
  throw UsageError("the model is stored in " + config.type + (config.double_quant ? " with" : " without") + " double quantization, and " +
                   quant::to_string(options.type) + (options.double_quant ? " with" : " without") + " is asked for")
      .at(model.string())
      .hint("leave the quantization out: the stored one is used");
}

}  // namespace

std::shared_ptr<const io::LinearLoader> four_bit_loader(const std::filesystem::path& model, const std::optional<FourBitLinears>& quantize,
                                                        std::optional<at::ScalarType> compute, std::shared_ptr<PackedWeights> packed) {
  const io::ModelDirectory directory(model);
  if (const auto config = io::read_quantization_config(directory)) {
    if (quantize) check_agreement(*config, *quantize, model);
    return std::make_shared<StoredLinears>(directory, *config, compute);
  }
  if (!quantize) return nullptr;
  quant::check_block(quantize->options().block);
  return std::make_shared<QuantizedLinears>(*quantize, std::move(packed));
}

}  // namespace graft
