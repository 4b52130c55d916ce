#include "graft/io/quantization_config.h"

#include <algorithm>

#include "graft/base/error.h"
#include "graft/base/strings.h"
#include "graft/io/model_directory.h"

namespace graft::io {
namespace {

constexpr const char* kKey = "quantization_config";

std::string choice(const ConfigReader& config, const char* key, const std::string& usual, const std::vector<std::string>& choices) {
  std::string value = config.string_or(key, usual);
  if (starts_with(value, "torch.")) value.erase(0, 6);
  if (std::find(choices.begin(), choices.end(), value) == choices.end())
    throw DataError("\"" + value + "\" is not one of " + enumerate(choices)).at(config.place(key)).nearest(nearest_name(value, choices));
  return value;
}

void check_method(const ConfigReader& config, const ConfigReader& quant) {
  const std::string method = quant.string_or("quant_method", "bitsandbytes");
  const bool eight = quant.boolean_or("load_in_8bit", false), four = quant.boolean_or("load_in_4bit", !eight);
  for (const char* key : {"_load_in_8bit", "_load_in_4bit"}) quant.boolean_or(key, false);
  if (method == "bitsandbytes" && four && !eight) return;
  throw DataError("the model is stored quantized by " + method + (eight ? " in 8 bits" : "") + ", which this version does not load")
      .at(config.place(kKey))
      .hint("use the unquantized model (quant.type in the recipe quantizes it while loading), or one in bitsandbytes' nf4 or fp4");
}

}  // namespace

std::optional<QuantizationConfig> read_quantization_config(const ConfigReader& config) {
  const auto quant = config.object(kKey);
  if (!quant) return std::nullopt;
  check_method(config, *quant);
  QuantizationConfig result;
  result.type = choice(*quant, "bnb_4bit_quant_type", "fp4", {"nf4", "fp4"});
  result.double_quant = quant->boolean_or("bnb_4bit_use_double_quant", false);
  result.compute_dtype = choice(*quant, "bnb_4bit_compute_dtype", "float32", {"float32", "bfloat16", "float16"});
  result.storage = choice(*quant, "bnb_4bit_quant_storage", "uint8", {"uint8", "float32", "bfloat16", "float16"});
  if (quant->has("llm_int8_skip_modules")) result.skip = quant->strings("llm_int8_skip_modules");
  // Of 8-bit loading and of placing parts on several devices.
  quant->ignore({"llm_int8_enable_fp32_cpu_offload", "llm_int8_has_fp16_weight", "llm_int8_threshold"});
  const auto unread = quant->unread();
  if (!unread.empty())
    throw DataError("graft does not know this key of quantization_config; it may change what the model computes")
        .at(quant->place(unread.front()))
        .hint("if bitsandbytes ignores the key too, remove it from config.json");
  return result;
}

std::optional<QuantizationConfig> read_quantization_config(const ModelDirectory& directory) {
  const auto origin = (directory.path() / "config.json").string();
  return read_quantization_config(ConfigReader(parse_json(directory.config_text(), origin), origin));
}

Json quantization_json(const QuantizationConfig& config) {
  Json json = {{"_load_in_4bit", true},
               {"_load_in_8bit", false},
               {"bnb_4bit_compute_dtype", config.compute_dtype},
               {"bnb_4bit_quant_storage", config.storage},
               {"bnb_4bit_quant_type", config.type},
               {"bnb_4bit_use_double_quant", config.double_quant},
               {"llm_int8_enable_fp32_cpu_offload", false},
               {"llm_int8_has_fp16_weight", false},
               {"llm_int8_skip_modules", nullptr},
               {"llm_int8_threshold", 6.0},
               {"load_in_4bit", true},
               {"load_in_8bit", false},
               {"quant_method", "bitsandbytes"}};
  if (config.skip) json["llm_int8_skip_modules"] = *config.skip;
  return json;
}

bool is_skipped(const QuantizationConfig& config, const std::string& module) {
  if (!config.skip) return module == "lm_head";
  return std::any_of(config.skip->begin(), config.skip->end(), [&](const std::string& name) {
    return module == name || ends_with(module, "." + name) || starts_with(module, name + ".");
  });
}

double four_bit_bytes_per_weight(int64_t block, bool double_quant) {
  const auto size = static_cast<double>(block);
  return 0.5 + (double_quant ? 1 / size + 4 / (256 * size) : 4 / size);
}

}  // namespace graft::io
