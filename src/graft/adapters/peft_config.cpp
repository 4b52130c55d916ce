#include "graft/adapters/peft_config.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <set>

#include "graft/adapters/adapted_weight.h"
#include "graft/adapters/name_pattern.h"
#include "graft/base/error.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"

namespace graft::detail {
namespace {

std::string escaped(const std::string& path) {
  std::string out;
  for (const char c : path) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_') out += '\\';
    out += c;
  }
  return out;
}

/// The shortest entries that, each standing for every path that ends with it, mean exactly `chosen`. `with_dot`: the ending must begin at a
/// dot (target_modules) or need not (PEFT's modules_to_save).
std::vector<std::string> shortest_names(const std::vector<std::string>& chosen, const std::vector<NamedModule>& all, bool with_dot) {
  const std::set<std::string> wanted(chosen.begin(), chosen.end());
  std::map<std::string, bool> leaf_is_exact;
  for (const std::string& path : chosen) {
    const std::string leaf = leaf_of(path);
    if (leaf_is_exact.count(leaf) > 0) continue;
    leaf_is_exact[leaf] = std::none_of(all.begin(), all.end(), [&](const NamedModule& other) {
      const bool matches = other.path == leaf || ends_with(other.path, with_dot ? "." + leaf : leaf);
      return matches && wanted.count(other.path) == 0;
    });
  }
  std::vector<std::string> out;
  std::set<std::string> seen;
  for (const std::string& path : chosen) {
    const std::string leaf = leaf_of(path);
    const std::string& name = leaf_is_exact[leaf] ? leaf : path;
    if (seen.insert(name).second) out.push_back(name);
  }
  std::sort(out.begin(), out.end());
  return out;
}

/// True when a full path in the list is also the ending of another module's path: then only a regular expression is exact.
bool is_ambiguous(const std::vector<std::string>& names, const std::vector<std::string>& chosen, const std::vector<NamedModule>& all) {
  const std::set<std::string> wanted(chosen.begin(), chosen.end());
  return std::any_of(all.begin(), all.end(), [&](const NamedModule& other) {
    return wanted.count(other.path) == 0 &&
           std::any_of(names.begin(), names.end(), [&](const std::string& name) { return ends_with(other.path, "." + name); });
  });
}

/// Patterns for the modules whose value is not `usual`: a leaf name where all its modules agree, else "^full\.path".
template <typename Value, typename Read>
std::vector<std::pair<std::string, Value>> patterns(const std::vector<Target>& targets, Value usual, Read read) {
  std::map<std::string, std::set<Value>> values_of_leaf;
  for (const Target& target : targets) values_of_leaf[leaf_of(target.place.path)].insert(read(target));
  std::map<std::string, Value> out;
  for (const Target& target : targets) {
    if (read(target) == usual) continue;
    const std::string leaf = leaf_of(target.place.path);
    out[values_of_leaf[leaf].size() == 1 ? escaped(leaf) : "^" + escaped(target.place.path)] = read(target);
  }
  return {out.begin(), out.end()};
}

bool is_all_linear(const io::AdapterConfig& config) {
  const auto* text = std::get_if<std::string>(&config.target_modules);
  if (text == nullptr) return false;
  std::string lower = *text;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower == "all-linear";
}

bool has_no_targets(const io::AdapterConfig& config) {
  const auto* list = std::get_if<std::vector<std::string>>(&config.target_modules);
  return list != nullptr && list->empty();
}

std::vector<std::string> paths_of(const std::vector<NamedModule>& modules) {
  std::vector<std::string> out;
  for (const auto& entry : modules) out.push_back(entry.path);
  return out;
}

std::vector<NamedModule> saved_modules(const std::vector<NamedModule>& all, const io::AdapterConfig& config) {
  std::vector<NamedModule> out;
  for (const NamedModule& entry : all) {
    const bool named = std::any_of(config.modules_to_save.begin(), config.modules_to_save.end(),
                                   [&](const std::string& name) { return ends_with(entry.path, name); });
    const bool inside =
        std::any_of(out.begin(), out.end(), [&](const NamedModule& outer) { return starts_with(entry.path, outer.path + "."); });
    if (named && !inside) out.push_back(entry);
  }
  for (const std::string& name : config.modules_to_save)
    if (std::none_of(all.begin(), all.end(), [&](const NamedModule& entry) { return ends_with(entry.path, name); }))
      log::warning("adapter_config.json: modules_to_save: \"" + name + "\" is no module of this model");
  return out;
}

void warn_unmatched_targets(const std::vector<NamedModule>& all, const io::AdapterConfig& config) {
  const auto* list = std::get_if<std::vector<std::string>>(&config.target_modules);
  if (list == nullptr) return;
  for (const std::string& name : *list)
    if (std::none_of(all.begin(), all.end(),
                     [&](const NamedModule& entry) { return entry.path == name || ends_with(entry.path, "." + name); }))
      log::warning("adapter_config.json: target_modules: \"" + name + "\" is no module of this model");
}

/// The embedding whose factors PEFT gives to the modules tied to it (ensure_weight_tying); null when there is none.
const NamedModule* tied_embedding(const std::vector<NamedModule>& all, const io::AdapterConfig& config,
                                  const std::set<std::string>& in_file) {
  for (const NamedModule& entry : all)
    if (config.ensure_weight_tying && site_kind(*entry.module) == SiteKind::kEmbedding && in_file.count(entry.path) > 0) return &entry;
  return nullptr;
}

void add_target(io::AdapterConfig* config, const std::string& path) {
  if (auto* list = std::get_if<std::vector<std::string>>(&config->target_modules))
    list->push_back(path);
  else
    config->target_modules = "(?:" + std::get<std::string>(config->target_modules) + ")|" + escaped(path);
}

bool is_twin(const NamedModule& entry, const NamedModule& embedding) {
  return site_kind(*entry.module) == SiteKind::kLinear && weight_of(*entry.module).sizes() == weight_of(*embedding.module).sizes();
}

}  // namespace

io::AdapterConfig peft_config(torch::nn::Module& root, const LoraOptions& options, const Resolution& resolution) {
  io::AdapterConfig config;
  config.r = options.rank();
  config.lora_alpha = options.alpha().value_or(2.0 * static_cast<double>(options.rank()));
  config.lora_dropout = options.dropout();
  config.use_rslora = options.rank_stabilized();
  config.bias = options.bias();
  config.base_model_name_or_path = options.base_model();
  config.task_type = options.task_type().empty() && is_graft_decoder(root) ? "CAUSAL_LM" : options.task_type();
  if (options.init() == "gaussian") config.init_name = "gaussian";

  const auto all = modules_below(root);
  std::vector<std::string> chosen;
  for (const Target& target : resolution.targets) chosen.push_back(target.place.path);
  const auto names = shortest_names(chosen, all, /*with_dot=*/true);
  if (is_ambiguous(names, chosen, all)) {
    std::vector<std::string> alternatives;
    for (const std::string& path : chosen) alternatives.push_back(escaped(path));
    config.target_modules = "(" + join(alternatives, "|") + ")";
  } else {
    config.target_modules = names;
  }
  config.modules_to_save = shortest_names(paths_of(resolution.saved), all, /*with_dot=*/false);
  config.rank_pattern = patterns<int64_t>(resolution.targets, config.r, [](const Target& target) { return target.rank; });
  config.alpha_pattern = patterns<double>(resolution.targets, config.lora_alpha, [](const Target& target) { return target.alpha; });
  return config;
}

Resolution resolve_config(torch::nn::Module& root, const io::AdapterConfig& config, const std::vector<std::string>& file_targets) {
  const auto all = modules_below(root);
  Resolution out;
  out.saved = saved_modules(all, config);
  warn_unmatched_targets(all, config);
  const std::set<std::string> in_file(file_targets.begin(), file_targets.end());
  const NamedModule* tied = tied_embedding(all, config, in_file);
  for (const NamedModule& entry : all) {
    const auto kind = site_kind(*entry.module);
    if (!kind) continue;
    const bool has_factors = in_file.count(entry.path) > 0;
    bool targeted = has_no_targets(config) ? has_factors : io::targets_module(config, entry.path);
    if (is_all_linear(config)) targeted = targeted && *kind == SiteKind::kLinear && !(is_graft_decoder(root) && entry.path == "lm_head");
    targeted = targeted || (config.ensure_weight_tying && has_factors);
    if (!targeted) continue;
    check_adaptable(*entry.module, entry.path);
    Target target{entry, *kind, io::rank_of(config, entry.path), io::alpha_of(config, entry.path)};
    if (tied != nullptr && has_factors && is_twin(entry, *tied)) {  // its factors are the embedding's, its scale is its own
      const auto own = static_cast<double>(target.rank);
      target.rank = io::rank_of(config, tied->path);
      const double ratio = static_cast<double>(target.rank) / own;
      target.alpha *= config.use_rslora ? std::sqrt(ratio) : ratio;
    }
    out.targets.push_back(std::move(target));
  }
  if (out.targets.empty())
    throw DataError("adapter_config.json: target_modules means no Linear or Embedding of this model")
        .hint("does the adapter belong to this base?");
  return out;
}

io::AdapterConfig untied_config(io::AdapterConfig config, const Resolution& resolution) {
  if (!config.ensure_weight_tying || is_all_linear(config)) return config;
  for (const Target& target : resolution.targets) {
    const std::string& path = target.place.path;
    const std::string pattern = "^" + escaped(path);
    if (!has_no_targets(config) && !io::targets_module(config, path)) add_target(&config, path);
    if (io::rank_of(config, path) != target.rank) config.rank_pattern.insert(config.rank_pattern.begin(), {pattern, target.rank});
    if (io::alpha_of(config, path) != target.alpha) config.alpha_pattern.insert(config.alpha_pattern.begin(), {pattern, target.alpha});
  }
  config.ensure_weight_tying = false;
  return config;
}

}  // namespace graft::detail
