#include "graft/app/base_model.h"

#include "graft/adapters/quantizing_loader.h"
#include "graft/app/quantized_base.h"
#include "graft/models/load.h"

namespace graft::app {

std::optional<FourBitLinears> four_bit_options(const recipe::Recipe& recipe) {
  if (recipe.quant.type == "none") return std::nullopt;
  FourBitLinears options(quant::four_bit_type(recipe.quant.type));
  options.double_quant(recipe.quant.double_quant).block(recipe.quant.block).skip(recipe.quant.skip);
  return options;
}

std::shared_ptr<const io::LinearLoader> linear_loader(const recipe::Recipe& recipe, std::shared_ptr<PackedWeights> packed) {
  if (recipe.model.init == "random") return nullptr;
  const auto base = quantized_base(recipe);
  if (!base) return nullptr;
  if (recipe.quant.type == "fp8")
    return std::make_shared<QuantizingLoader>(std::make_shared<Fp8Options>(Fp8Options().skip(recipe.quant.skip)));
  return four_bit_loader(recipe.model.path, base->stored ? std::nullopt : four_bit_options(recipe), dtype_of(recipe.model.dtype),
                         std::move(packed));
}

AdapterStart adapter_start(const recipe::Recipe& recipe, const std::filesystem::path& checkpoint) {
  AdapterStart start;
  const bool from_weights = recipe.adapter.init == "pissa" || recipe.adapter.init == "loftq";
  if (!from_weights) return start;
  if (recipe.quant.type != "none") start.unquantized = unquantized_weights(recipe.model.path, dtype_of(recipe.model.dtype));
  start.saved = checkpoint;
  return start;
}

}  // namespace graft::app
