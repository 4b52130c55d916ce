#include "graft/io/adapter_config.h"

#include <algorithm>
#include <cmath>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/json.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"
#include "graft/io/config_reader.h"

namespace graft::io {
namespace {

constexpr int64_t kMaxRank = 4096;
constexpr const char* kFileName = "adapter_config.json";
const std::vector<std::string> kTaskTypes = {"SEQ_CLS", "SEQ_2_SEQ_LM", "CAUSAL_LM", "TOKEN_CLS", "QUESTION_ANS", "FEATURE_EXTRACTION"};
const std::vector<std::string> kBiases = {"none", "all", "lora_only"};

// PEFT's fields for things that change what the adapter computes and that graft does not do.
struct Unsupported {
  const char* field;
  const char* what;
};
constexpr Unsupported kUnsupported[] = {
    {"use_dora", "DoRA (weight decomposition)"},
    {"lora_bias", "a bias on B"},
    {"trainable_token_indices", "trained token rows"},
    {"target_parameters", "LoRA on bare parameters (fused experts)"},
    {"layer_replication", "replicated layers"},
    {"alora_invocation_tokens", "activated LoRA"},
    {"megatron_config", "Megatron parallel layers"},
    {"use_qalora", "QA-LoRA"},
    {"arrow_config", "Arrow routing"},
    {"use_bdlora", "block-diagonal LoRA"},
    {"velora_config", "VeLoRA"},
    {"kasa_config", "KaSA"},
    {"monteclora_config", "MonteCLoRA"},
};

bool is_off(const Json& value) {
  return value.is_null() || value == false || (value.is_structured() && value.empty()) || (value.is_string() && value.empty());
}

void refuse_unsupported(const ConfigReader& config, const Json& json) {
  for (const auto& [field, what] : kUnsupported) {
    config.ignore({field});
    if (!json.contains(field) || is_off(json[field])) continue;
    throw DataError(std::string(field) + ": graft has no " + what)
        .at(config.place(field))
        .hint("use PEFT to turn it into a plain LoRA adapter first, or train one without this option");
  }
}

std::string one_of(const ConfigReader& config, const std::string& field, const std::string& value,
                   const std::vector<std::string>& choices) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return value;
  throw DataError(field + ": expected one of " + enumerate(choices) + ", found \"" + value + "\"")
      .at(config.place(field))
      .nearest(nearest_name(value, choices))
      .hint("correct the value");
}

double finite(const ConfigReader& config, const std::string& field, double value) {
  if (!std::isfinite(value)) config.fail(field, "a finite number");
  return value;
}

std::variant<std::vector<std::string>, std::string> names_or_pattern(const ConfigReader& config, const Json& json,
                                                                     const std::string& field) {
  if (json.contains(field) && json[field].is_string()) return config.string(field);
  return config.strings(field);
}

void read_init(const ConfigReader& config, const Json& json, AdapterConfig* out, std::vector<std::string>* warnings) {
  const bool is_name = json.contains("init_lora_weights") && json["init_lora_weights"].is_string();
  if (!is_name) {
    out->init_lora_weights = config.boolean_or("init_lora_weights", true);
    return;
  }
  out->init_name = config.string("init_lora_weights");
  if (changes_base(*out))
    warnings->push_back(config.place("init_lora_weights") + ": \"" + out->init_name +
                        "\" changes the base's weights when training begins: the adapter is right only on that changed base");
}

void read_layers(const ConfigReader& config, const Json& json, AdapterConfig* out) {
  if (config.has("layers_to_transform")) out->layers_to_transform = config.integers("layers_to_transform");
  for (auto& name : config.strings("layers_pattern"))
    if (!name.empty()) out->layers_pattern.push_back(std::move(name));
  const bool by_pattern = std::holds_alternative<std::string>(out->target_modules);
  if (by_pattern && (json.contains("layers_to_transform") && !json["layers_to_transform"].is_null()))
    throw DataError("layers_to_transform cannot be used when target_modules is one string")
        .at(config.place("layers_to_transform"))
        .hint("put the layers into the regular expression");
  if (by_pattern && !out->layers_pattern.empty())
    throw DataError("layers_pattern cannot be used when target_modules is one string")
        .at(config.place("layers_pattern"))
        .hint("put the layers into the regular expression");
  if (!out->layers_pattern.empty() && !out->layers_to_transform)
    throw DataError("layers_pattern needs layers_to_transform")
        .at(config.place("layers_pattern"))
        .hint("add layers_to_transform or remove layers_pattern");
}

void read_patterns(const ConfigReader& config, AdapterConfig* out) {
  if (const auto ranks = config.object("rank_pattern"))
    for (const auto& key : ranks->keys()) out->rank_pattern.emplace_back(key, ranks->integer(key, 1, kMaxRank));
  if (const auto alphas = config.object("alpha_pattern"))
    for (const auto& key : alphas->keys()) out->alpha_pattern.emplace_back(key, finite(*alphas, key, alphas->number(key)));
}

void warn_about_the_rest(const ConfigReader& config, const Json& json, bool ties, std::vector<std::string>* warnings) {
  // How the adapter was begun or made, not what it computes.
  config.ignore({"peft_version", "auto_mapping", "inference_mode", "loftq_config", "eva_config", "corda_config", "lora_ga_config",
                 "megatron_core", "qalora_group_size", "runtime_config"});
  if (ties)
    warnings->push_back(config.place("ensure_weight_tying") +
                        ": the adapter is used as it is; trained further, the tied modules' factors go their own ways");
  for (const auto& name : config.unread()) {
    const std::string top = name.substr(0, name.find('.'));
    if (!json.contains(name) || !is_off(json[name])) warnings->push_back(config.place(top) + ": unknown key, ignored");
  }
}

[[noreturn]] void throw_no_config(const fs::path& directory) {
  DataError error(std::string("no ") + kFileName + ": an adapter directory has adapter_config.json and adapter_model.safetensors");
  error.at(directory.string());
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory, ignored))
    if (fs::is_regular_file(entry.path() / kFileName, ignored))
      throw error.hint("there is an adapter in " + entry.path().string() + ": give that path");
  if (fs::is_regular_file(directory / "config.json", ignored)) error.hint("this is a model directory, not an adapter");
  throw error;
}

}  // namespace

bool changes_base(const AdapterConfig& config) {
  constexpr const char* kInits[] = {"pissa", "olora", "corda", "lora_ga", "loftq"};
  return std::any_of(std::begin(kInits), std::end(kInits), [&](const char* init) { return starts_with(config.init_name, init); });
}

AdapterConfig parse_adapter_config(std::string_view text, const std::string& origin, std::vector<std::string>* warnings) {
  std::vector<std::string> to_log;
  std::vector<std::string>* sink = warnings != nullptr ? warnings : &to_log;
  const Json json = parse_json(text, origin);
  const ConfigReader config(json, origin);
  if (const std::string type = config.string("peft_type"); type != "LORA")
    throw DataError("peft_type: graft reads LORA adapters, this is \"" + type + "\"")
        .at(config.place("peft_type"))
        .hint("train a LoRA adapter, or use PEFT for this one");
  refuse_unsupported(config, json);

  AdapterConfig out;
  out.r = config.integer_or("r", out.r, 1, kMaxRank);
  out.lora_alpha = finite(config, "lora_alpha", config.number_or("lora_alpha", out.lora_alpha));
  out.lora_dropout = config.number_or("lora_dropout", out.lora_dropout);
  if (!(out.lora_dropout >= 0 && out.lora_dropout <= 1)) config.fail("lora_dropout", "a number from 0 to 1");
  out.use_rslora = config.boolean_or("use_rslora", false);
  out.fan_in_fan_out = config.boolean_or("fan_in_fan_out", false);
  out.bias = one_of(config, "bias", config.string_or("bias", "none"), kBiases);
  out.task_type = config.string_or("task_type", "");
  if (!out.task_type.empty()) one_of(config, "task_type", out.task_type, kTaskTypes);
  out.base_model_name_or_path = config.string_or("base_model_name_or_path", "");
  out.revision = config.string_or("revision", "");
  out.target_modules = names_or_pattern(config, json, "target_modules");
  out.exclude_modules = names_or_pattern(config, json, "exclude_modules");
  out.modules_to_save = config.strings("modules_to_save");
  out.ensure_weight_tying = config.boolean_or("ensure_weight_tying", false);
  read_init(config, json, &out, sink);
  read_layers(config, json, &out);
  read_patterns(config, &out);
  warn_about_the_rest(config, json, out.ensure_weight_tying, sink);
  for (const auto& line : to_log) log::warning(line);
  return out;
}

AdapterConfig read_adapter_config(const fs::path& directory, std::vector<std::string>* warnings) {
  std::error_code ignored;
  if (!fs::exists(directory, ignored))
    throw UsageError("adapter directory does not exist: " + directory.string())
        .at(fs::absolute(directory).string())
        .hint("give the path of an adapter directory");
  if (!fs::is_directory(directory, ignored))
    throw DataError("not a directory").at(directory.string()).hint("give the directory that holds adapter_config.json");
  const fs::path file = directory / kFileName;
  if (!fs::is_regular_file(file, ignored)) throw_no_config(directory);
  return parse_adapter_config(read_file(file, uint64_t{16} << 20), file.string(), warnings);
}

}  // namespace graft::io
