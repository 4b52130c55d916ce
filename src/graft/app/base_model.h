#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "graft/adapters/adapter_start.h"
#include "graft/adapters/four_bit_loader.h"
#include "graft/adapters/quantize.h"
#include "graft/io/linear_loader.h"
#include "graft/recipe/recipe.h"

namespace graft::app {

/// quant.* of a recipe whose type is nf4 or fp4; nothing for none.
std::optional<FourBitLinears> four_bit_options(const recipe::Recipe& recipe);

/// What loads a recipe's Linear weights when they are quantized: as model.path stores them, or quantized on the way. Null: they are plain.
/// `packed` (may be null) keeps what is quantized. RecipeError when the two contradict each other, or quant.skip names no module.
std::shared_ptr<const io::LinearLoader> linear_loader(const recipe::Recipe& recipe, std::shared_ptr<PackedWeights> packed = nullptr);

/// What attach() needs for adapter.init: pissa and loftq. `checkpoint`: the one that the run is continued from; empty at its start.
AdapterStart adapter_start(const recipe::Recipe& recipe, const std::filesystem::path& checkpoint);

}  // namespace graft::app
