#include "graft/app/adapter_shapes.h"

#include <set>

#include "graft/base/strings.h"

namespace graft::app {
namespace {

constexpr const char* kPrefix = "base_model.model.";
using Shape = std::vector<int64_t>;

std::string module_of(const std::string& tensor) { return tensor.substr(0, tensor.find('.') == std::string::npos ? 0 : tensor.rfind('.')); }
std::string leaf_of(const std::string& path) { return path.substr(path.rfind('.') + 1); }

class Expectation {
 public:
  Expectation(const detail::AdapterFiles& files, const BaseTensors& base) : files_(files), config_(files.config), base_(base) {
    for (const auto& module : detail::modules_with_factors(files)) in_file_.insert(module);
    for (const auto& [name, shape] : base.shapes)
      if (ends_with(name, ".weight") && shape.size() == 2 && is_targeted(module_of(name))) targeted_.insert(module_of(name));
    for (const auto& module : targeted_)
      if (config_.ensure_weight_tying && is_embedding(module)) tied_ = module;
  }

  std::vector<std::pair<std::string, Shape>> tensors() {
    for (const auto& [name, shape] : base_.shapes) {
      const std::string module = module_of(name), parameter = leaf_of(name);
      const bool targeted = targeted_.count(module) > 0, weight = parameter == "weight" && shape.size() == 2;
      if (targeted && weight) add_factors(module, shape);
      const std::string inner = kPrefix + module + ".base_layer." + parameter;
      if (io::saves_module(config_, module) || (is_trained_bias(name, targeted) && !(targeted && weight)))
        out_.emplace_back(targeted ? inner : kPrefix + name, shape);
      else if (weight)  // PEFT saves embeddings on its own account
        for (const auto& key : {inner, kPrefix + name})
          if (files_.tensors.count(key) > 0) out_.emplace_back(key, shape);
    }
    return std::move(out_);
  }

 private:
  bool is_targeted(const std::string& module) const {
    const bool has_factors = in_file_.count(module) > 0;
    const auto* list = std::get_if<std::vector<std::string>>(&config_.target_modules);
    if (list != nullptr && list->empty()) return has_factors;
    if (has_factors && config_.ensure_weight_tying) return true;
    if (!io::targets_module(config_, module)) return false;
    if (!base_.known_family) return has_factors;
    return !io::targets_all_linear(config_) || (module != "lm_head" && module != "model.embed_tokens");
  }

  bool is_trained_bias(const std::string& name, bool targeted) const {
    if (config_.bias == "all") return name.find("bias") != std::string::npos;
    return config_.bias == "lora_only" && targeted && leaf_of(name) == "bias";
  }

  bool is_embedding(const std::string& module) const { return files_.tensors.count(kPrefix + module + ".lora_embedding_A") > 0; }

  void add_factors(const std::string& module, const Shape& shape) {
    const std::string key = kPrefix + module;
    const bool embedding = is_embedding(module);
    const bool twin = !embedding && !tied_.empty() && in_file_.count(module) > 0 && shape == base_.shapes.at(tied_ + ".weight");
    const int64_t rank = io::rank_of(config_, twin ? tied_ : module);
    const bool swapped = embedding || stores_transposed(base_, module);
    const int64_t rows = swapped ? shape[1] : shape[0], columns = swapped ? shape[0] : shape[1];
    out_.emplace_back(key + (embedding ? ".lora_embedding_A" : ".lora_A.weight"), Shape{rank, columns});
    out_.emplace_back(key + (embedding ? ".lora_embedding_B" : ".lora_B.weight"), Shape{rows, rank});
  }

  const detail::AdapterFiles& files_;
  const io::AdapterConfig& config_;
  const BaseTensors& base_;
  std::set<std::string> in_file_, targeted_;
  std::string tied_;  // the embedding whose factors its twin has (ensure_weight_tying)
  std::vector<std::pair<std::string, Shape>> out_;
};

}  // namespace

std::vector<std::pair<std::string, Shape>> expected_tensors(const detail::AdapterFiles& files, const BaseTensors& base) {
  return Expectation(files, base).tensors();
}

bool stores_transposed(const BaseTensors& base, const std::string& module) {
  static const std::set<std::string> types = {"gpt2", "openai-gpt", "imagegpt", "decision_transformer"};
  static const std::set<std::string> leaves = {"c_attn", "c_proj", "c_fc", "q_attn"};
  return types.count(base.model_type) > 0 && leaves.count(leaf_of(module)) > 0;
}

}  // namespace graft::app
