#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace graft::io {

/// PEFT's adapter_config.json for LoRA, field by field under PEFT's names (shared/reference: PEFT 0.18 – 0.21).
struct AdapterConfig {
  int64_t r = 8;
  double lora_alpha = 8;  ///< written as an integer when it is one (Ollama reads only integers)
  double lora_dropout = 0;
  bool use_rslora = false;
  bool fan_in_fan_out = false;
  std::string bias = "none";  ///< none | all | lora_only
  std::string task_type;      ///< "CAUSAL_LM", or empty for null
  std::string base_model_name_or_path;
  bool init_lora_weights = true;
  std::string init_name;  ///< when init_lora_weights is a string ("gaussian")
  /// A list of names, or one string: a regular expression over the whole path, or "all-linear".
  std::variant<std::vector<std::string>, std::string> target_modules = std::vector<std::string>{};
  std::variant<std::vector<std::string>, std::string> exclude_modules = std::vector<std::string>{};
  std::vector<std::string> modules_to_save;
  std::optional<std::vector<int64_t>> layers_to_transform;
  std::vector<std::string> layers_pattern;
  /// In file order: the first match wins.
  std::vector<std::pair<std::string, int64_t>> rank_pattern;
  std::vector<std::pair<std::string, double>> alpha_pattern;
};

/// Reads DIR/adapter_config.json. Unknown keys with a value that is not null/false/empty are put into `warnings` (one text each);
/// another peft_type, or a LoRA variant graft does not have (use_dora, lora_bias, trainable_token_indices, target_parameters,
/// layer_replication, …) is a DataError by name. r ≤ 4096, finite alpha.
AdapterConfig read_adapter_config(const std::filesystem::path& directory, std::vector<std::string>* warnings);

/// The file as PEFT writes it: keys sorted, indent 2, inference_mode true, every field PEFT 0.18 knows.
std::string to_json(const AdapterConfig& config);

/// PEFT 1.6: which modules a config targets. `names` are full module paths. See peft.md for the exact rules
/// (list entry = equal or ".entry" suffix; string = full regex match; exclude_modules; layers_to_transform; modules_to_save).
bool targets_module(const AdapterConfig& config, const std::string& name);

/// rank_pattern / alpha_pattern lookup: first key k in order for which re.match(r"(.*\.)?(k)$", name) holds.
int64_t rank_of(const AdapterConfig& config, const std::string& name);
double alpha_of(const AdapterConfig& config, const std::string& name);

}  // namespace graft::io
