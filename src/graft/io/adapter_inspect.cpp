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

// The embedding whose factors PEFT gives to the modules tied to it (ensure_weight_tying); null when there is none.
const AdapterModule* tied_embedding(const AdapterConfig& config, const std::map<std::string, AdapterModule>& modules) {
  for (const auto& [name, module] : modules)
    if (config.ensure_weight_tying && module.embedding && module.a_shape.size() == 2 && module.b_shape.size() == 2) return &module;
  return nullptr;
}

// Its factors are the embedding's, its scale is its own.
bool is_twin(const AdapterModule& module, const AdapterModule& embedding) {
  return !module.embedding && module.a_shape.size() == 2 && module.b_shape.size() == 2 && module.b_shape[0] == embedding.a_shape[1] &&
         module.a_shape[1] == embedding.b_shape[0];
}

// The module's rank and scale; what does not fit goes to `problems`.
void complete(const AdapterConfig& config, const AdapterModule* tied, AdapterModule* module, std::vector<std::string>* problems) {
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
  const bool twin = tied != nullptr && is_twin(*module, *tied);
  const int64_t configured = rank_of(config, twin ? tied->name : module->name);
  if (module->rank != 0 && module->rank != configured)
    complain("rank " + std::to_string(module->rank) + " in the file, " + std::to_string(configured) + " in adapter_config.json");
  module->alpha = alpha_of(config, module->name);
  const auto rank = static_cast<double>(std::max<int64_t>(twin ? rank_of(config, module->name) : module->rank, 1));
  module->scale = module->alpha / (config.use_rslora ? std::sqrt(rank) : rank);
  if (!module->embedding && !config.ensure_weight_tying && !targets_module(config, module->name)) {
    const auto* list = std::get_if<std::vector<std::string>>(&config.target_modules);
    if (list == nullptr || !list->empty()) complain("adapter_config.json does not target this module");
  }
}

bool is_saved(const AdapterConfig& config, const AdapterWhole& tensor) {
  const bool bias = config.bias == "all" ? tensor.name.find("bias") != std::string::npos : tensor.key.parameter == "bias";
  return tensor.key.part == AdapterKey::Part::kBaseLayer || bias || saves_module(config, tensor.key.module);
}

// The untrained original of a module trained whole, or its second name beside the usual one.
bool is_spare(const SafetensorsFile& file, const std::string& name) {
  const std::string plain = plain_adapter_key(name);
  return plain.empty() || (plain != name && file.find(plain) != nullptr);
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
    if (is_spare(file, entry.name)) continue;
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
  const AdapterModule* tied = tied_embedding(facts.config, modules);
  for (auto& [name, module] : modules) {
    complete(facts.config, tied, &module, &facts.problems);
    facts.modules.push_back(module);
  }
  if (file.entries().empty()) facts.problems.push_back("adapter_model.safetensors: holds no tensor");
  return facts;
}

}  // namespace graft::io
