#include "graft/adapters/adapter_card.h"

#include "graft/base/json.h"
#include "graft/base/version.h"

namespace graft::detail {
namespace {

/// Plain where YAML allows it without thought, else a JSON string (which is YAML, too).
std::string yaml_text(const std::string& text) {
  return text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:") == std::string::npos &&
                 text.back() != ':'
             ? text
             : dump_json(text);
}

}  // namespace

std::string adapter_card(const io::AdapterConfig& config) {
  const std::string& base = config.base_model_name_or_path;
  std::string text = "---\n";
  if (!base.empty()) text += "base_model: " + yaml_text(base) + "\n";
  text += "library_name: peft\n";
  if (config.task_type == "CAUSAL_LM") text += "pipeline_tag: text-generation\n";
  text += "tags:\n";
  if (!base.empty()) text += "- " + yaml_text("base_model:adapter:" + base) + "\n";
  text += "- lora\n";
  if (config.task_type == "CAUSAL_LM") text += "- transformers\n";
  text += "---\n\n# LoRA adapter\n\nRank " + std::to_string(config.r) + (base.empty() ? "" : ", for `" + base + "`") +
          ". Trained with graft " + kVersion +
          " and written in PEFT's format:\n\n```python\nfrom peft import PeftModel\nmodel = PeftModel.from_pretrained(base_model, "
          "\"path/to/this/folder\")\n```\n";
  return text;
}

}  // namespace graft::detail
