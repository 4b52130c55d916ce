#include "graft/adapters/four_bit_loader.h"

#include <set>

#include "graft/adapters/four_bit_files.h"
#include "graft/adapters/frozen_module.h"
#include "graft/adapters/quantizing_loader.h"
#include "graft/base/error.h"
#include "graft/io/quantization_config.h"
#include "graft/io/tensor_dtype.h"
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

/// Asks for a packed copy before a weight is quantized, and tells what came of it.
class PackedLinears final : public QuantizingLoader {
 public:
  PackedLinears(const FourBitLinears& how, std::shared_ptr<PackedWeights> packed)
      : QuantizingLoader(std::make_shared<FourBitLinears>(how)), packed_(std::move(packed)) {}

 protected:
  std::shared_ptr<ops::FrozenWeight> weight(const std::string& path, const io::ModelDirectory& directory,
                                            const at::TensorOptions& options) const override {
    const auto dtype = c10::typeMetaToScalarType(options.dtype());
    if (auto tensor = packed_->find(path, directory.at(path + ".weight").entry->shape, options.device()))
      return std::make_shared<quant::FourBitWeight>(*std::move(tensor), dtype);
    auto made = QuantizingLoader::weight(path, directory, options);
    packed_->add(path, static_cast<const quant::FourBitWeight&>(*made).stored());
    return made;
  }

 private:
  std::shared_ptr<PackedWeights> packed_;
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
  if (packed) return std::make_shared<PackedLinears>(*quantize, std::move(packed));
  return std::make_shared<QuantizingLoader>(std::make_shared<FourBitLinears>(*quantize));
}

}  // namespace graft
