#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "graft/recipe/recipe.h"

namespace graft::app {

/// How a recipe's base is kept quantized, from config.json and the recipe alone. No LibTorch.
struct QuantizedBase {
  std::string type;     ///< nf4 | fp4 | fp8
  bool stored = false;  ///< model.path holds 4-bit weights; otherwise they are quantized while loading
  int64_t parameters = 0;
  int64_t largest = 0;  ///< entries of the largest quantized matrix: what is decoded at a time
  double bytes_per_parameter = 0;
};

/// Nothing for a plain base. RecipeError when quant.* contradicts what model.path stores, when a base stored in 4 bits is to be trained in
/// full or an adapter is to start from what it was before, and when an entry of quant.skip names no module.
std::optional<QuantizedBase> quantized_base(const recipe::Recipe& recipe);

}  // namespace graft::app
