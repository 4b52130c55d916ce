#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graft/models/decoder_options.h"
#include "graft/recipe/recipe.h"

namespace graft::app {

/// One module of the decoder that the recipe adapts.
struct AdaptedModule {
  std::string name;  ///< "model.layers.0.self_attn.q_proj"
  int64_t out = 0, in = 0, rank = 0;
  int64_t parameters() const { return rank * (in + out); }
};

/// Which modules adapter.target, exclude, layers and overrides mean, from the config alone: the same rules as graft::attach, so that a
/// slip is found before any weight is read. RecipeError at the key, with the nearest name.
std::vector<AdaptedModule> adapted_modules(const recipe::Recipe& recipe, const models::DecoderOptions& decoder);

}  // namespace graft::app
