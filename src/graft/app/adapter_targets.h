#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graft/base/error.h"
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
/// With adapter.init_from: those in that adapter's file. RecipeError when there is none, DataError when it contradicts its configuration.
std::vector<AdaptedModule> adapted_modules(const recipe::Recipe& recipe, const models::DecoderOptions& decoder);

/// Throws what a malformed regular expression of a recipe is: a RecipeError at its key.
[[noreturn]] void throw_at_key(const recipe::Recipe& recipe, const Error& malformed);

/// Parameters besides the factors: what adapter.modules_to_save trains in full, and biases (adapter.bias, or what adapter.init_from has).
int64_t saved_whole_parameters(const recipe::Recipe& recipe, const models::DecoderOptions& decoder);

}  // namespace graft::app
