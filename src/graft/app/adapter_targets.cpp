#include "graft/app/adapter_targets.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <numeric>
#include <set>

#include "graft/adapters/name_pattern.h"
#include "graft/adapters/target_kind.h"
#include "graft/base/error.h"
#include "graft/base/strings.h"
#include "graft/io/adapter_inspect.h"
#include "graft/models/family.h"

namespace graft::app {
namespace {

using detail::NamePattern;
constexpr const char* kHead = "lm_head";

std::vector<AdaptedModule> adaptable(const models::DecoderOptions& decoder) {
  std::vector<AdaptedModule> all = {{"model.embed_tokens", decoder.hidden_size, decoder.vocabulary_size, 0}};
  for (const auto& [name, shape] : models::linear_shapes(decoder)) all.push_back({name, shape[0], shape[1], 0});
  return all;
}

[[noreturn]] void refuse(const recipe::Recipe& recipe, const std::string& key, const std::string& entry,
                         const std::vector<AdaptedModule>& all) {
  std::set<std::string> leaves;
  for (const auto& module : all) leaves.insert(detail::leaf_of(module.name));
  std::vector<std::string> names(leaves.begin(), leaves.end());
  auto candidates = names;
  candidates.insert(candidates.end(), detail::target_kinds().begin(), detail::target_kinds().end());
  for (const auto& module : all) candidates.push_back(module.name);
  throw RecipeError(key + ": \"" + entry + "\" matches no module of this model")
      .at(recipe.place_of(key))
      .nearest(nearest_name(entry, candidates))
      .hint("its modules are " + enumerate(names));
}

// "model.layers.7.mlp.up_proj" is in layer 7; the embedding and the head are in none.
int64_t layer_of(const std::string& name) {
  for (const auto& part : split(name, '.'))
    if (!part.empty() && part.find_first_not_of("0123456789") == std::string::npos) return std::stoll(part);
  return -1;
}

std::set<std::string> chosen_names(const recipe::Recipe& recipe, const std::vector<AdaptedModule>& all) {
  std::set<std::string> chosen;
  for (const auto& entry : recipe.adapter.target) {
    const size_t before = chosen.size();
    const bool kind = detail::is_target_kind(entry);
    for (const auto& module : all) {
      const bool wanted = kind ? module.name != kHead && module.name != "model.embed_tokens" && detail::path_is_of_kind(entry, module.name)
                               : NamePattern(entry, "adapter.target").matches(module.name);
      if (wanted) chosen.insert(module.name);
    }
    if (chosen.size() == before &&
        !std::any_of(all.begin(), all.end(), [&](const auto& m) { return !kind && NamePattern(entry, "adapter.target").matches(m.name); }))
      refuse(recipe, "adapter.target", entry, all);
  }
  for (const auto& entry : recipe.adapter.exclude) {
    if (detail::is_target_kind(entry)) {
      std::erase_if(chosen, [&](const std::string& name) { return detail::path_is_of_kind(entry, name); });
      continue;
    }
    const NamePattern pattern(entry, "adapter.exclude");
    if (!std::any_of(all.begin(), all.end(), [&](const auto& module) { return pattern.reaches(module.name); }))
      refuse(recipe, "adapter.exclude", entry, all);
    std::erase_if(chosen, [&](const std::string& name) { return pattern.reaches(name); });
  }
  return chosen;
}

void keep_layers(const recipe::Recipe& recipe, int64_t layers, std::set<std::string>* chosen) {
  if (recipe.adapter.layers.empty()) return;
  const std::set<int64_t> wanted(recipe.adapter.layers.begin(), recipe.adapter.layers.end());
  for (const int64_t layer : wanted)
    if (layer >= layers)
      throw RecipeError("adapter.layers: there is no layer " + std::to_string(layer) + "; the model has layers 0 to " +
                        std::to_string(layers - 1))
          .at(recipe.place_of("adapter.layers"));
  for (auto it = chosen->begin(); it != chosen->end();) it = wanted.count(layer_of(*it)) > 0 ? std::next(it) : chosen->erase(it);
}

std::vector<AdaptedModule> modules_of_recipe(const recipe::Recipe& recipe, const models::DecoderOptions& decoder) {
  const auto all = adaptable(decoder);
  auto chosen = chosen_names(recipe, all);
  keep_layers(recipe, decoder.layers, &chosen);
  std::vector<NamePattern> patterns;
  for (const auto& entry : recipe.adapter.overrides) patterns.emplace_back(entry.match, "adapter.overrides");
  std::vector<AdaptedModule> result;
  for (auto module : all) {
    if (chosen.count(module.name) == 0) continue;
    module.rank = recipe.adapter.rank;
    for (size_t i = 0; i < patterns.size(); ++i)
      if (patterns[i].matches(module.name)) {
        module.rank = recipe.adapter.overrides[i].rank.value_or(module.rank);
        break;
      }
    result.push_back(std::move(module));
  }
  if (result.empty())
    throw RecipeError("adapter.target, exclude and layers together leave no module to adapt").at(recipe.place_of("adapter.target"));
  return result;
}

// The tensors of an adapter that is continued are those in its file: its configuration alone need not name them.
io::AdapterFacts continued_adapter(const recipe::Recipe& recipe) {
  const std::string& directory = recipe.adapter.init_from;
  if (!std::filesystem::is_directory(directory)) throw recipe::missing_path(recipe, "adapter.init_from", directory, "adapter directory");
  auto facts = io::inspect_adapter(directory);  // its warnings are said when it is loaded
  if (!facts.problems.empty())
    throw DataError(facts.problems.front()).at(directory).hint("save the adapter again with the tool that trained it");
  return facts;
}

std::vector<AdaptedModule> modules_of(const io::AdapterFacts& facts) {
  std::vector<AdaptedModule> result;
  for (const auto& module : facts.modules) result.push_back({module.name, module.b_shape[0], module.a_shape[1], module.rank});
  return result;
}

int64_t parameters_of(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

// Without the embeddings that PEFT saves on its own account.
int64_t whole_parameters_of(const io::AdapterFacts& facts) {
  int64_t sum = 0;
  for (const auto& tensor : facts.whole)
    if (io::saves_module(facts.config, tensor.key.module) || tensor.name.find("bias") != std::string::npos)
      sum += parameters_of(tensor.shape);
  return sum;
}

}  // namespace

std::vector<AdaptedModule> adapted_modules(const recipe::Recipe& recipe, const models::DecoderOptions& decoder) {
  if (!recipe.adapter.init_from.empty()) return modules_of(continued_adapter(recipe));
  try {
    return modules_of_recipe(recipe, decoder);
  } catch (const DataError& malformed) {
    throw_at_key(recipe, malformed);
  }
}

void throw_at_key(const recipe::Recipe& recipe, const Error& malformed) {
  const std::string& where = malformed.where();  // "adapter_config.json: adapter.target"
  const size_t colon = where.find(": ");
  const std::string key = colon == std::string::npos ? "adapter" : where.substr(colon + 2);
  throw RecipeError(key + ": " + malformed.message()).at(recipe.place_of(key)).hint(malformed.hint());
}

int64_t saved_whole_parameters(const recipe::Recipe& recipe, const models::DecoderOptions& decoder) {
  if (!recipe.adapter.init_from.empty()) return whole_parameters_of(continued_adapter(recipe));
  const auto& names = recipe.adapter.modules_to_save;
  auto parameters = models::parameter_shapes(decoder);
  if (decoder.tied_embeddings)
    parameters.push_back({"lm_head.weight", {decoder.vocabulary_size, decoder.hidden_size}});  // a copy of its own
  std::set<std::string> adapted;
  for (const auto& module : adapted_modules(recipe, decoder)) adapted.insert(module.name);
  const auto& bias = recipe.adapter.bias;
  int64_t sum = 0;
  for (const auto& [path, shape] : parameters) {
    const std::string module = path.substr(0, path.rfind('.'));
    const auto saves = [&](const std::string& name) { return NamePattern(name, "adapter.modules_to_save").reaches(module); };
    const bool trained_bias =
        path.find("bias") != std::string::npos && (bias == "all" || (bias == "lora_only" && adapted.count(module) > 0));
    if (trained_bias || std::any_of(names.begin(), names.end(), saves)) sum += parameters_of(shape);
  }
  return sum;
}

}  // namespace graft::app
