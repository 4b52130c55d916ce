#include "graft/app/quantized_base.h"

#include <algorithm>
#include <set>

#include "graft/adapters/name_pattern.h"
#include "graft/app/adapter_targets.h"
#include "graft/base/error.h"
#include "graft/base/strings.h"
#include "graft/io/model_directory.h"
#include "graft/io/quantization_config.h"
#include "graft/models/family.h"

namespace graft::app {
namespace {

using detail::NamePattern;

void check_stored(const recipe::Recipe& recipe, const io::QuantizationConfig& stored) {
  const auto refuse = [&](const std::string& key, const std::string& has) {
    throw RecipeError(key + " contradicts model.path, whose weights are stored in " + has)
        .at(recipe.place_of(key))
        .hint("take the quant section out: what the directory holds is used");
  };
  if (recipe.adapter.type == "full")
    throw RecipeError("model.path holds weights in " + stored.type + ", which cannot be trained in full")
        .at(recipe.place_of("adapter.type"))
        .hint("use adapter.type: lora, or the unquantized model");
  if (recipe.adapter.init == "pissa" || recipe.adapter.init == "loftq")
    throw RecipeError("adapter.init: " + recipe.adapter.init + " needs the weights before quantization, and model.path holds them in " +
                      stored.type)
        .at(recipe.place_of("adapter.init"))
        .hint("give the unquantized model, with quant.type: " + stored.type);
  if (recipe.quant.type == "none") return;
  if (recipe.quant.type != stored.type) refuse("quant.type", stored.type);
  if (recipe.was_given("quant.double") && recipe.quant.double_quant != stored.double_quant)
    refuse("quant.double", stored.type + (stored.double_quant ? " with" : " without") + " double quantization");
  for (const char* key : {"quant.block", "quant.skip"})
    if (recipe.was_given(key)) refuse(key, stored.type + " as they are");
}

void check_skip(const recipe::Recipe& recipe, const std::vector<std::string>& modules) {
  for (const auto& entry : recipe.quant.skip) {
    const NamePattern pattern(entry, "quant.skip");
    if (std::any_of(modules.begin(), modules.end(), [&](const std::string& path) { return pattern.reaches(path); })) continue;
    std::set<std::string> leaves;
    for (const auto& path : modules) leaves.insert(detail::leaf_of(path));
    const std::vector<std::string> known(leaves.begin(), leaves.end());
    throw RecipeError("quant.skip: \"" + entry + "\" matches no module of this model")
        .at(recipe.place_of("quant.skip"))
        .nearest(nearest_name(entry, known))
        .hint("its modules are " + enumerate(known));
  }
}

}  // namespace

std::optional<QuantizedBase> quantized_base(const recipe::Recipe& recipe) {
  const io::ModelDirectory directory(recipe.model.path, io::ModelDirectory::Open::kConfigOnly);
  const auto stored = io::read_quantization_config(directory);
  if (!stored && recipe.quant.type == "none") return std::nullopt;
  if (stored) check_stored(recipe, *stored);
  const auto linears = models::linear_shapes(models::read_decoder_options(directory));
  std::vector<std::string> modules = {"model.embed_tokens"};
  for (const auto& [path, shape] : linears) modules.push_back(path);
  try {
    if (!stored) check_skip(recipe, modules);
  } catch (const DataError& malformed) {
    throw_at_key(recipe, malformed);
  }
  QuantizedBase base;
  base.type = stored ? stored->type : recipe.quant.type;
  base.stored = stored.has_value();
  base.bytes_per_parameter = base.type == "fp8" ? 1  // one scale a row does not count
                             : stored           ? io::four_bit_bytes_per_weight(64, stored->double_quant)
                                                : io::four_bit_bytes_per_weight(recipe.quant.block, recipe.quant.double_quant);
  for (const auto& [path, shape] : linears) {
    const auto skipped = [&, name = path](const std::string& entry) { return NamePattern(entry, "quant.skip").reaches(name); };
    if (stored ? io::is_skipped(*stored, path)
               : path == "lm_head" || std::any_of(recipe.quant.skip.begin(), recipe.quant.skip.end(), skipped))
      continue;
    base.parameters += shape[0] * shape[1];
    base.largest = std::max(base.largest, shape[0] * shape[1]);
  }
  return base;
}

}  // namespace graft::app
