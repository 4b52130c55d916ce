#include "graft/io/adapter_inspect.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "graft/base/error.h"
#include "graft/base/files.h"

namespace graft::io {
namespace {

void add_half(const TensorEntry& entry, const AdapterKey& key, AdapterModule* module) {
  const bool is_a = key.part == AdapterKey::Part::kA || key.part == AdapterKey::Part::kEmbeddingA;
  module->name = key.module;
  module->embedding = key.part == AdapterKey::Part::kEmbeddingA || key.part == AdapterKey::Part::kEmbeddingB;
  if (is_a || module->a_shape.empty()) module->dtype = entry.dtype;
  (is_a ? module->a_shape : module->b_shape) = entry.shape;
  module->parameters += entry.numel();
}

// The module's rank and scale; what does not fit goes to `problems`.
void complete(const AdapterConfig& config, AdapterModule* module, std::vector<std::string>* problems) {
  const auto complain = [&](const std::string& what) { problems->push_back(module->name + ": " + what); };
  const auto& a = module->a_shape;
  const auto& b = module->b_shape;
  if (a.empty()) complain("A is missing");
  if (b.empty()) complain("B is missing");
  const bool matrices = (a.empty() || a.size() == 2) && (b.empty() || b.size() == 2);
  if (!matrices)
    complain("A " + shape_text(a) + " and B " + shape_text(b) + " are not matrices (an adapted convolution?)");
  else if (!a.empty() && !b.empty() && a[0] != b[1])
    complain("A " + shape_text(a) + " and B " + shape_text(b) + " have different ranks");
  module->rank = a.size() == 2 ? a[0] : b.size() == 2 ? b[1] : 0;
  if (module->rank == 0 && matrices) complain("rank 0");
  const int64_t configured = rank_of(config, module->name);
  if (module->rank != 0 && module->rank != configured)
    complain("rank " + std::to_string(module->rank) + " in the file, " + std::to_string(configured) + " in adapter_config.json");
  module->alpha = alpha_of(config, module->name);
  const auto rank = static_cast<double>(std::max<int64_t>(module->rank, 1));
  module->scale = module->alpha / (config.use_rslora ? std::sqrt(rank) : rank);
  if (!module->embedding && !config.ensure_weight_tying && !targets_module(config, module->name)) {
    const auto* list = std::get_if<std::vector<std::string>>(&config.target_modules);
    if (list == nullptr || !list->empty()) complain("adapter_config.json does not target this module");
  }
}

bool is_saved(const AdapterConfig& config, const AdapterWhole& tensor) {
  if (tensor.key.part == AdapterKey::Part::kBaseLayer || tensor.key.parameter == "bias") return true;
  AdapterConfig only_saved;  // targets everything but what modules_to_save names
  only_saved.target_modules = std::string("all-linear");
  only_saved.modules_to_save = config.modules_to_save;
  return !targets_module(only_saved, tensor.key.module);
}

}  // namespace

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

fs::path adapter_weights_file(const fs::path& directory) {
  const fs::path file = directory / "adapter_model.safetensors";
  std::error_code ignored;
  if (fs::is_regular_file(file, ignored)) return file;
  DataError error("no adapter_model.safetensors");
  error.at(directory.string());
  if (fs::exists(directory / "adapter_model.bin", ignored))
    throw error.hint(
        "adapter_model.bin is a pickle file and is never opened; convert it once with PEFT: "
        "PeftModel.from_pretrained(…).save_pretrained(directory)");
  throw error.hint("an adapter directory has adapter_config.json and adapter_model.safetensors");
}

AdapterFacts inspect_adapter(const fs::path& directory) {
  AdapterFacts facts;
  facts.directory = directory;
  facts.config = read_adapter_config(directory, &facts.warnings);
  const SafetensorsFile file = SafetensorsFile::open(adapter_weights_file(directory));
  std::map<std::string, AdapterModule> modules;
  for (const auto& entry : file.entries()) {
    facts.parameters += entry.numel();
    facts.bytes += entry.end - entry.begin;
    if (std::find(facts.dtypes.begin(), facts.dtypes.end(), to_string(entry.dtype)) == facts.dtypes.end())
      facts.dtypes.push_back(to_string(entry.dtype));
    const AdapterKey key = parse_adapter_key(entry.name);
    if (key.part <= AdapterKey::Part::kEmbeddingB) {
      add_half(entry, key, &modules[key.module]);
    } else if (key.part <= AdapterKey::Part::kWhole) {
      facts.whole.push_back({key, entry.name, entry.shape, entry.dtype});
      if (!is_saved(facts.config, facts.whole.back()))
        facts.warnings.push_back(entry.name + ": trained whole, though modules_to_save does not name its module");
    } else {
      facts.odd.push_back(entry.name);
      facts.problems.push_back(entry.name + (key.part == AdapterKey::Part::kForeign ? ": the name does not begin with base_model.model."
                                                                                    : ": not a tensor of plain LoRA"));
    }
  }
  for (auto& [name, module] : modules) {
    complete(facts.config, &module, &facts.problems);
    facts.modules.push_back(std::move(module));
  }
  if (file.entries().empty()) facts.problems.push_back("adapter_model.safetensors: holds no tensor");
  return facts;
}

}  // namespace graft::io
