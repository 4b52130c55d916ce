#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace graft::io {

/// PEFT's adapter_config.json for LoRA, field by field under PEFT's names (read: 0.14 – 0.21; written: as 0.21.2 does).
struct AdapterConfig {
  int64_t r = 8;
  double lora_alpha = 8;  ///< written as an integer when it is one (Ollama reads only integers)
  double lora_dropout = 0;
  bool use_rslora = false;
  bool fan_in_fan_out = false;
  std::string bias = "none";  ///< none | all | lora_only
  std::string task_type;      ///< "CAUSAL_LM", or empty for null
  std::string base_model_name_or_path;
  std::string revision;  ///< of the base; empty for null
  bool init_lora_weights = true;
  std::string init_name;  ///< when init_lora_weights is a string ("gaussian")
  /// A list of names, or one string: a regular expression over the whole path, or "all-linear".
  std::variant<std::vector<std::string>, std::string> target_modules = std::vector<std::string>{};
  std::variant<std::vector<std::string>, std::string> exclude_modules = std::vector<std::string>{};
  std::vector<std::string> modules_to_save;
  /// The file may hold factors of a tied embedding's or head's twin, which target_modules does not name.
  bool ensure_weight_tying = false;
  std::optional<std::vector<int64_t>> layers_to_transform;
  std::vector<std::string> layers_pattern;
  /// In file order: the first match wins.
  std::vector<std::pair<std::string, int64_t>> rank_pattern;
  std::vector<std::pair<std::string, double>> alpha_pattern;
};

/// Whether init_lora_weights names a start that moves a part of the base's weights into the adapter (PiSSA, OLoRA, CorDA, LoRA-GA, LoftQ).
/// PEFT writes `true` when it converts such an adapter for the plain base; with the name still there it fits the changed base alone.
bool changes_base(const AdapterConfig& config);

/// Reads DIR/adapter_config.json. UsageError when the directory does not exist. Unknown keys with a value that is not null, false or
/// empty, and initialisations that changed the base (pissa, olora, corda, lora_ga, loftq: the adapter fits only that changed base),
/// are put into `warnings` (one text each); without a list they are logged. Another peft_type, or a LoRA variant graft does not have
/// (use_dora, lora_bias, trainable_token_indices, target_parameters, layer_replication, …) is a DataError by field name.
/// 1 ≤ r ≤ 4096, finite alpha.
AdapterConfig read_adapter_config(const std::filesystem::path& directory, std::vector<std::string>* warnings);
/// The same from the file's text; `origin` is the place named in errors.
AdapterConfig parse_adapter_config(std::string_view text, const std::string& origin, std::vector<std::string>* warnings);

/// The file byte for byte as PEFT 0.21.2 writes it: every field, keys sorted (also inside rank_pattern and alpha_pattern: give keys
/// that do not overlap, such as "^full.path"), indent 2, ASCII, inference_mode true, no newline at the end.
std::string to_json(const AdapterConfig& config);

/// PEFT's own decision which modules a config targets. `name` is a full module path without "base_model.model.". In this order:
/// exclude_modules (list: equal or ".entry" suffix; string: full regex match), modules_to_save (and everything below), then
/// target_modules (list: equal or ".entry" suffix, the latter narrowed by layers_to_transform/layers_pattern; string: full regex
/// match). "all-linear" targets every name: give the names of linear layers, output head left out.
/// Regular expressions are Python's as far as PCRE2 agrees; a malformed or exploding one is a DataError.
bool targets_module(const AdapterConfig& config, const std::string& name);

/// PEFT's own decision which modules are trained and saved whole: the module's path, or that of one around it, ends with an entry of
/// modules_to_save (at a dot or not: "head" saves lm_head).
bool saves_module(const AdapterConfig& config, const std::string& name);

/// target_modules is the word "all-linear" (in any case).
bool targets_all_linear(const AdapterConfig& config);

/// rank_pattern / alpha_pattern lookup: first key k in order for which re.match(r"(.*\.)?(k)$", name) holds; else r / lora_alpha.
int64_t rank_of(const AdapterConfig& config, const std::string& name);
double alpha_of(const AdapterConfig& config, const std::string& name);

}  // namespace graft::io
