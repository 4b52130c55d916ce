#include <cmath>

#include "graft/base/json.h"
#include "graft/io/adapter_config.h"

namespace graft::io {
namespace {

// The version whose layout this is; readers use it for information only.
constexpr const char* kPeftVersion = "0.21.2";

using Sorted = nlohmann::json;  // keys sorted by code point, as Python's sort_keys

Sorted text_or_null(const std::string& text) { return text.empty() ? Sorted(nullptr) : Sorted(text); }

template <typename List>
Sorted list_or_null(const List& list) {
  return list.empty() ? Sorted(nullptr) : Sorted(list);
}

Sorted integer_when_integral(double value) {
  const bool integral = value == std::floor(value) && std::fabs(value) < 9e15;
  return integral ? Sorted(static_cast<int64_t>(value)) : Sorted(value);
}

Sorted names(const std::variant<std::vector<std::string>, std::string>& value) {
  if (const auto* pattern = std::get_if<std::string>(&value)) return text_or_null(*pattern);
  return list_or_null(std::get<std::vector<std::string>>(value));
}

}  // namespace

std::string to_json(const AdapterConfig& config) {
  Sorted json = Sorted::object();
  for (const char* unused : {"alora_invocation_tokens", "arrow_config", "auto_mapping", "corda_config", "eva_config", "kasa_config",
                             "layer_replication", "lora_ga_config", "megatron_config", "monteclora_config", "target_parameters",
                             "trainable_token_indices", "use_bdlora", "velora_config"})
    json[unused] = nullptr;
  for (const char* off : {"ensure_weight_tying", "lora_bias", "use_dora", "use_qalora"}) json[off] = false;
  json["inference_mode"] = true;
  json["loftq_config"] = Sorted::object();
  json["megatron_core"] = "megatron.core";
  json["peft_type"] = "LORA";
  json["peft_version"] = kPeftVersion;
  json["qalora_group_size"] = 16;

  json["r"] = config.r;
  json["lora_alpha"] = integer_when_integral(config.lora_alpha);
  json["lora_dropout"] = config.lora_dropout;
  json["use_rslora"] = config.use_rslora;
  json["fan_in_fan_out"] = config.fan_in_fan_out;
  json["bias"] = config.bias;
  json["task_type"] = text_or_null(config.task_type);
  json["base_model_name_or_path"] = text_or_null(config.base_model_name_or_path);
  json["revision"] = text_or_null(config.revision);
  json["init_lora_weights"] = config.init_name.empty() ? Sorted(config.init_lora_weights) : Sorted(config.init_name);
  json["target_modules"] = names(config.target_modules);
  json["exclude_modules"] = names(config.exclude_modules);
  json["modules_to_save"] = list_or_null(config.modules_to_save);
  json["layers_to_transform"] = config.layers_to_transform ? Sorted(*config.layers_to_transform) : Sorted(nullptr);
  json["layers_pattern"] = list_or_null(config.layers_pattern);
  json["rank_pattern"] = Sorted::object();
  for (const auto& [pattern, rank] : config.rank_pattern) json["rank_pattern"].emplace(pattern, rank);
  json["alpha_pattern"] = Sorted::object();
  for (const auto& [pattern, alpha] : config.alpha_pattern) json["alpha_pattern"].emplace(pattern, integer_when_integral(alpha));
  return json.dump(2, ' ', /*ensure_ascii=*/true, Sorted::error_handler_t::replace);
}

}  // namespace graft::io
