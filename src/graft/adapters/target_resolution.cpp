#include "graft/adapters/target_resolution.h"

#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "graft/adapters/name_pattern.h"
#include "graft/adapters/target_kind.h"
#include "graft/base/error.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"

namespace graft::detail {
namespace {

bool kind_matches(const std::string& kind, const NamedModule& entry, bool leave_out_head) {
  if (site_kind(*entry.module) != SiteKind::kLinear) return false;
  if (kind == "all-linear" && leave_out_head && entry.path == "lm_head") return false;
  return path_is_of_kind(kind, entry.path);
}

/// The first number in a path: model.layers.7.mlp is in layer 7.
std::optional<int64_t> layer_of(const std::string& path) {
  for (const std::string& part : split(path, '.')) {
    int64_t value = 0;
    const char* end = part.data() + part.size();
    if (!part.empty() && std::from_chars(part.data(), end, value).ptr == end) return value;
  }
  return std::nullopt;
}

std::string count_of_linears(const std::vector<NamedModule>& modules) {
  const auto count =
      std::count_if(modules.begin(), modules.end(), [](const NamedModule& m) { return site_kind(*m.module) == SiteKind::kLinear; });
  return "the model has " + std::to_string(count) + " Linear module" + (count == 1 ? "" : "s");
}

std::string nearest_path(const std::string& text, const std::vector<NamedModule>& modules) {
  std::vector<std::string> names = target_kinds();
  std::set<std::string> leaves;
  for (const auto& entry : modules) leaves.insert(leaf_of(entry.path));
  names.insert(names.end(), leaves.begin(), leaves.end());
  for (const auto& entry : modules) names.push_back(entry.path);
  return nearest_name(text, names);
}

[[noreturn]] void throw_unmatched(const std::string& field, const std::string& text, const std::vector<NamedModule>& modules) {
  std::set<std::string> leaves;
  for (const auto& entry : modules)
    if (site_kind(*entry.module)) leaves.insert(leaf_of(entry.path));
  std::vector<std::string> shown(leaves.begin(), leaves.end());
  if (shown.size() > 12) shown.resize(12);
  throw UsageError(field + ": \"" + text + "\" matches no module that can be adapted; " + count_of_linears(modules))
      .nearest(nearest_path(text, modules))
      .hint("names that can be adapted: " + enumerate(shown));
}

class Resolver {
 public:
  Resolver(torch::nn::Module& root, const LoraOptions& options)
      : root_(root),
        options_(options),
        modules_(modules_below(root)),
        leave_out_head_(options.task_type() == "CAUSAL_LM" || is_graft_decoder(root)) {}

  Resolution resolve() {
    if (site_kind(root_))
      throw UsageError("the model itself is one " + type_name(root_)).hint("wrap it in a module, such as torch::nn::Sequential");
    find_saved();
    find_chosen();
    exclude();
    keep_layers();
    collect();
    return std::move(result_);
  }

 private:
  bool is_inside_saved(const std::string& path) const {
    return std::any_of(result_.saved.begin(), result_.saved.end(),
                       [&](const NamedModule& saved) { return path == saved.path || starts_with(path, saved.path + "."); });
  }

  void find_saved() {
    std::vector<NamedModule> found;
    for (const std::string& text : options_.modules_to_save()) {
      const NamePattern pattern(text, "modules_to_save");
      bool any = false;
      for (const NamedModule& entry : modules_) {
        if (!pattern.matches(entry.path)) continue;
        any = true;
        found.push_back(entry);
      }
      if (!any)
        throw UsageError("modules_to_save: \"" + text + "\" matches no module")
            .nearest(nearest_path(text, modules_))
            .hint("name a module of the model");
    }
    // In the model's order, outermost first: what lies inside a saved module is saved with it.
    for (const NamedModule& entry : modules_) {
      const bool wanted = std::any_of(found.begin(), found.end(), [&](const NamedModule& f) { return f.path == entry.path; });
      if (!wanted || is_inside_saved(entry.path)) continue;
      if (entry.module->parameters().empty())
        throw UsageError("modules_to_save: " + entry.path + " (" + type_name(*entry.module) + ") has no parameters").hint("leave it out");
      result_.saved.push_back(entry);
    }
  }

  void find_chosen() {
    if (options_.targets().empty()) throw UsageError("targets: the list is empty").hint("use \"all-linear\" or name modules");
    bool by_kind = false;
    for (const std::string& text : options_.targets()) {
      by_kind = by_kind || is_target_kind(text);
      is_target_kind(text) ? choose_kind(text) : choose_pattern(NamePattern(text, "targets"));
      if (!matched_) throw_unmatched("targets", text, modules_);
    }
    if (by_kind) warn_about_unreachable();
  }

  void choose(const NamedModule& entry) {
    matched_ = true;
    if (!is_inside_saved(entry.path)) chosen_.insert(entry.path);
  }

  void choose_kind(const std::string& kind) {
    matched_ = false;
    for (const NamedModule& entry : modules_)
      if (kind_matches(kind, entry, leave_out_head_)) choose(entry);
  }

  void choose_pattern(const NamePattern& pattern) {
    matched_ = false;
    const NamedModule* container = nullptr;
    for (const NamedModule& entry : modules_) {
      if (!pattern.matches(entry.path)) continue;
      if (site_kind(*entry.module)) {
        choose(entry);
      } else if (pattern.kind() == NamePattern::Kind::kLeaf) {
        if (!entry.module->named_parameters(/*recurse=*/false).is_empty()) throw_not_adaptable(pattern, entry);
        container = &entry;  // "0" may mean a Linear in one Sequential and a block in another list
      }
    }
    if (!matched_ && container != nullptr) throw_not_adaptable(pattern, *container);
  }

  [[noreturn]] static void throw_not_adaptable(const NamePattern& pattern, const NamedModule& entry) {
    throw UsageError("targets: " + entry.path + " is a " + type_name(*entry.module) + "; only Linear and Embedding modules can be adapted")
        .hint("name Linear modules, use a glob such as \"*" + pattern.text() +
              ".*\" for those inside it, or train it whole with modules_to_save");
  }

  void warn_about_unreachable() const {
    const auto missed = unreachable_matrices(root_);
    if (missed.empty()) return;
    std::vector<std::string> shown(missed.begin(), missed.begin() + static_cast<long>(std::min<size_t>(missed.size(), 10)));
    if (missed.size() > shown.size()) shown.push_back(std::to_string(missed.size() - shown.size()) + " more");
    log::warning("no adapter reaches " + enumerate(shown) +
                 ": they stay as they are (only the weights of Linear and Embedding modules are adapted)");
  }

  void exclude() {
    for (const std::string& text : options_.exclude()) {
      if (is_target_kind(text)) {
        std::erase_if(chosen_, [&](const std::string& path) { return path_is_of_kind(text, path); });
        continue;
      }
      const NamePattern pattern(text, "exclude");
      bool any = false;
      for (const NamedModule& entry : modules_) {
        if (!pattern.matches(entry.path)) continue;
        any = true;
        // A container stands for what is inside it.
        for (auto it = chosen_.begin(); it != chosen_.end();)
          it = *it == entry.path || starts_with(*it, entry.path + ".") ? chosen_.erase(it) : std::next(it);
      }
      if (!any) throw_unmatched("exclude", text, modules_);
    }
  }

  void keep_layers() {
    if (options_.layers().empty()) return;
    std::set<int64_t> existing;
    for (const std::string& path : chosen_)
      if (const auto layer = layer_of(path)) existing.insert(*layer);
    const std::set<int64_t> wanted(options_.layers().begin(), options_.layers().end());
    for (const int64_t layer : wanted)
      if (existing.count(layer) == 0) {
        const std::string range = existing.empty() ? "none of the targets has a number in its path"
                                                   : "the targets' layers run from " + std::to_string(*existing.begin()) + " to " +
                                                         std::to_string(*existing.rbegin());
        throw UsageError("layers: there is no target in layer " + std::to_string(layer) + "; " + range).hint("correct the list of layers");
      }
    for (auto it = chosen_.begin(); it != chosen_.end();) {
      const auto layer = layer_of(*it);
      it = layer && wanted.count(*layer) > 0 ? std::next(it) : chosen_.erase(it);
    }
  }

  void collect() {
    std::vector<NamePattern> patterns;
    for (const LoraOverride& change : options_.overrides()) patterns.emplace_back(change.match, "overrides");
    std::vector<bool> used(patterns.size(), false);
    for (const NamedModule& entry : modules_) {
      if (chosen_.count(entry.path) == 0) continue;
      check_adaptable(*entry.module, entry.path);
      Target target{entry, *site_kind(*entry.module), options_.rank(),
                    options_.alpha().value_or(2.0 * static_cast<double>(options_.rank()))};
      for (size_t i = 0; i < patterns.size(); ++i) {
        if (!patterns[i].matches(entry.path)) continue;
        used[i] = true;
        target.rank = options_.overrides()[i].rank.value_or(target.rank);
        target.alpha = options_.overrides()[i].alpha.value_or(target.alpha);
        break;
      }
      result_.targets.push_back(std::move(target));
    }
    for (size_t i = 0; i < patterns.size(); ++i)
      if (!used[i])
        throw UsageError("overrides: \"" + patterns[i].text() + "\" changes no adapted module (earlier overrides and exclude come first)")
            .nearest(nearest_path(patterns[i].text(), modules_))
            .hint("correct the pattern or leave it out");
    if (result_.targets.empty())
      throw UsageError("no module is left to adapt: exclude, layers and modules_to_save take out every target; " +
                       count_of_linears(modules_))
          .hint("widen targets or narrow exclude");
  }

  torch::nn::Module& root_;
  const LoraOptions& options_;
  const std::vector<NamedModule> modules_;
  const bool leave_out_head_;
  std::set<std::string> chosen_;
  bool matched_ = false;
  Resolution result_;
};

}  // namespace

Resolution resolve_targets(torch::nn::Module& root, const LoraOptions& options) { return Resolver(root, options).resolve(); }

void check_adaptable(const torch::nn::Module& module, const std::string& path) {
  const auto* embedding = module.as<torch::nn::EmbeddingImpl>();
  const auto* linear = module.as<torch::nn::LinearImpl>();
  if (embedding == nullptr && linear == nullptr)
    throw UsageError(path + " is a " + type_name(module) + "; only Linear and Embedding modules can be adapted")
        .hint("leave it out of the targets");
  if (embedding != nullptr && embedding->options.max_norm().has_value())
    throw UsageError("an Embedding with max_norm rewrites its frozen weight in every forward")
        .at(path)
        .hint("leave it out of the targets or drop max_norm");
  const at::Tensor& weight = embedding != nullptr ? embedding->weight : linear->weight;
  if (!weight.defined() || weight.dim() != 2 || weight.numel() == 0)
    throw UsageError("the weight is not a matrix with entries").at(path).hint("leave it out of the targets");
  if (!weight.is_floating_point())
    throw UsageError(std::string("the weight is ") + c10::toString(weight.scalar_type()) + ", not floating-point").at(path);
  if (weight.is_meta()) throw UsageError("the weight is on the meta device: it has no values yet").at(path).hint("load the base first");
}

}  // namespace graft::detail
