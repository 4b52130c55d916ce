#include "graft/io/adapter_check.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "graft/base/error.h"
#include "graft/base/strings.h"

namespace graft::io {
namespace {

const char* kFold = "fold the scales: train with one rank and alpha, or merge the adapter into the base";
const char* kDropWhole = "train without modules_to_save and bias, or merge the adapter into the base and serve that";

struct Check {
  const AdapterFacts& adapter;
  const std::optional<AdapterBase>& base;
  AdapterVerdict verdict;

  void block(std::string subject, std::string why, std::string what_to_do) {
    verdict.findings.push_back({true, std::move(subject), std::move(why), std::move(what_to_do)});
  }
  void note(std::string subject, std::string why, std::string what_to_do) {
    verdict.findings.push_back({false, std::move(subject), std::move(why), std::move(what_to_do)});
  }
};

std::string leaf_of(const std::string& module) { return module.substr(module.rfind('.') + 1); }

int64_t largest_rank(const AdapterFacts& adapter) {
  int64_t rank = adapter.config.r;
  for (const auto& module : adapter.modules) rank = std::max(rank, module.rank);
  return rank;
}

// ---- rules every consumer shares

void check_base_shapes(Check* check) {
  if (!check->base) return;
  for (const auto& module : check->adapter.modules) {
    if (module.embedding || module.a_shape.size() != 2 || module.b_shape.size() != 2) continue;
    const auto linear =
        std::find_if(check->base->linears.begin(), check->base->linears.end(), [&](const auto& item) { return item.first == module.name; });
    if (linear == check->base->linears.end()) {
      check->block(module.name, "the base model has no such linear layer: the tensors would be ignored or refused",
                   "is this the base the adapter was trained on?");
    } else if (linear->second != std::vector<int64_t>{module.b_shape[0], module.a_shape[1]}) {
      check->block(module.name,
                   "A and B make an update of " + shape_text({module.b_shape[0], module.a_shape[1]}) + ", the base's weight is " +
                       shape_text(linear->second),
                   "is this the base the adapter was trained on?");
    }
  }
}

template <typename Word>
bool has_non_finite(std::string_view bytes, Word exponent) {
  for (size_t i = 0; i + sizeof(Word) <= bytes.size(); i += sizeof(Word)) {
    Word word;
    std::memcpy(&word, bytes.data() + i, sizeof word);
    if ((word & exponent) == exponent) return true;  // all exponent bits set: infinite or not a number
  }
  return false;
}

void check_values(Check* check) {
  const SafetensorsFile file =
      SafetensorsFile::open(adapter_weights_file(check->adapter.directory), Strictness::kForeign, SafetensorsFile::Access::kInMemory);
  for (const auto& entry : file.entries()) {
    const bool bad = entry.dtype == DType::kF32    ? has_non_finite<uint32_t>(file.bytes(entry), 0x7F800000)
                     : entry.dtype == DType::kBF16 ? has_non_finite<uint16_t>(file.bytes(entry), 0x7F80)
                     : entry.dtype == DType::kF16  ? has_non_finite<uint16_t>(file.bytes(entry), 0x7C00)
                                                   : false;
    if (bad) check->block(entry.name, "holds NaN or infinity", "train again from a checkpoint before the loss became non-finite");
  }
}

void check_common(Check* check) {
  for (const auto& problem : check->adapter.problems) {
    const size_t colon = problem.find(": ");
    check->block(problem.substr(0, colon), problem.substr(colon + 2), "save the adapter again with the tool that trained it");
  }
  for (const auto& dtype : check->adapter.dtypes)
    if (dtype != "F32" && dtype != "F16" && dtype != "BF16")
      check->block("dtype " + dtype, "adapters are F32, F16 or BF16", "convert the tensors");
  if (check->adapter.dtypes.size() > 1)
    check->note("dtypes", "the tensors have more than one dtype: " + enumerate(check->adapter.dtypes), "nothing, or save them in one");
  check_base_shapes(check);
  check_values(check);
}

// The consumer multiplies by scale_of(module) where PEFT multiplies by module.scale.
template <typename ScaleOf>
void check_scales(Check* check, const std::string& formula, ScaleOf scale_of) {
  size_t wrong = 0;
  const AdapterModule* first = nullptr;
  for (const auto& module : check->adapter.modules) {
    if (std::fabs(scale_of(module) - module.scale) <= 1e-9 * std::fabs(module.scale)) continue;
    if (wrong++ == 0) first = &module;
  }
  if (first == nullptr) return;
  const auto& config = check->adapter.config;
  const std::string subject = !config.alpha_pattern.empty()  ? "alpha_pattern"
                              : !config.rank_pattern.empty() ? "rank_pattern"
                              : config.use_rslora            ? "use_rslora"
                                                             : "r";
  char numbers[96];
  std::snprintf(numbers, sizeof numbers, "%.6g instead of %.6g", scale_of(*first), first->scale);
  check->block(subject,
               "it scales by " + formula + " everywhere: " + first->name + " would be scaled by " + numbers + " (" + std::to_string(wrong) +
                   " modules), without an error",
               kFold);
}

void refuse_whole_tensors(Check* check, const char* why, bool base_layer_too) {
  for (const auto& tensor : check->adapter.whole)
    if (base_layer_too || tensor.key.part != AdapterKey::Part::kBaseLayer) check->block(tensor.name, why, kDropWhole);
}

/// Of an adapter that was begun from the base's weights and not converted when it was saved.
void check_start(Check* check) {
  if (!changes_base(check->adapter.config)) return;
  const std::string why = "\"" + check->adapter.config.init_name + "\" moved a part of the base's weights into the adapter";
  const std::string remedy = "save it again with PEFT: save_pretrained(path, path_initial_model_for_weight_conversion=…)";
  if (check->verdict.consumer == "peft")
    check->note("init_lora_weights", why + "; PEFT repeats that on the base when it loads the adapter", remedy);
  else
    check->block("init_lora_weights", why + ": on the plain base it would work differently", remedy);
}

// ---- one function for each consumer

void check_missing_targets(Check* check) {
  if (!check->base) return;
  for (const auto& [name, shape] : check->base->linears) {
    if (targets_all_linear(check->adapter.config) && leaf_of(name) == "lm_head") continue;  // "all-linear" leaves the output head out
    if (!targets_module(check->adapter.config, name)) continue;
    const bool there = std::any_of(check->adapter.modules.begin(), check->adapter.modules.end(),
                                   [&, &wanted = name](const AdapterModule& m) { return m.name == wanted; });
    if (!there)
      check->block(name,
                   "adapter_config.json targets this module but the file has no tensors for it: PEFT warns and leaves it without effect",
                   "save the adapter again, or exclude the module");
  }
}

void check_peft(Check* check) {
  const auto& config = check->adapter.config;
  for (const auto& warning : check->adapter.warnings)
    check->note("adapter_config.json", warning, "nothing, if the base is the one the adapter was trained on");
  const auto* list = std::get_if<std::vector<std::string>>(&config.target_modules);
  if (list != nullptr && list->empty())
    check->note("target_modules", "not given: PEFT takes its default for the base's model type, or stops when it has none",
                "write the list into adapter_config.json");
  for (const auto& module : check->adapter.modules)
    if (leaf_of(module.name).find("weight") != std::string::npos)
      check->block(module.name, "PEFT cannot load modules whose name holds \"weight\"", "rename the module");
  for (const auto& saved : config.modules_to_save) {
    AdapterConfig only;
    only.modules_to_save = {saved};
    const bool there = std::any_of(check->adapter.whole.begin(), check->adapter.whole.end(),
                                   [&](const AdapterWhole& t) { return saves_module(only, t.key.module); });
    if (!there)
      check->block("modules_to_save", "names " + saved + " but the file has no tensor of it",
                   "save the adapter again, or remove the entry");
  }
  check_missing_targets(check);
}

// Leaf names of the linear layers vLLM's models let adapters change.
const std::vector<std::string>& vllm_leaves() {
  static const std::vector<std::string> leaves = {"q_proj",        "k_proj",
                                                  "v_proj",        "o_proj",
                                                  "gate_proj",     "up_proj",
                                                  "down_proj",     "qkv_proj",
                                                  "gate_up_proj",  "query_key_value",
                                                  "dense",         "dense_h_to_4h",
                                                  "dense_4h_to_h", "c_attn",
                                                  "c_proj",        "c_fc",
                                                  "fc1",           "fc2",
                                                  "out_proj",      "q_a_proj",
                                                  "q_b_proj",      "kv_a_proj_with_mqa",
                                                  "kv_b_proj",     "Wqkv",
                                                  "W_pack",        "lm_head",
                                                  "embed_tokens"};
  return leaves;
}

void check_vllm(Check* check) {
  const auto& config = check->adapter.config;
  const int64_t rank = largest_rank(check->adapter);
  int64_t flag = 0;
  for (const int64_t allowed : {1, 8, 16, 32, 64, 128, 256, 320, 512})
    if (flag == 0 && allowed >= rank) flag = allowed;
  if (flag == 0)
    check->block("r", "rank " + std::to_string(rank) + " is above vLLM's largest, 512", "train with a smaller rank, or merge");
  else if (rank > 16)
    check->note("r", "vLLM's default allows rank 16, this adapter has " + std::to_string(rank),
                "start it with --max-lora-rank " + std::to_string(flag));
  if (!config.modules_to_save.empty()) check->block("modules_to_save", "vLLM accepts adapters without modules_to_save only", kDropWhole);
  if (config.bias != "none") check->block("bias", "vLLM accepts bias \"none\" only", kDropWhole);
  const auto* list = std::get_if<std::vector<std::string>>(&config.target_modules);
  if (list != nullptr && list->empty())
    check->block("target_modules", "vLLM requires the field", "write the list of targeted names into adapter_config.json");
  refuse_whole_tensors(check, "vLLM refuses tensors other than A and B (unsupported LoRA weight)", /*base_layer_too=*/false);
  for (const auto& tensor : check->adapter.whole)
    if (tensor.key.part == AdapterKey::Part::kBaseLayer)
      check->note(tensor.name, "vLLM ignores it (older versions refuse the adapter)", kDropWhole);
  for (const auto& module : check->adapter.modules) {
    if (module.name.find(".experts.") != std::string::npos)
      check->block(module.name, "vLLM expects expert adapters in fused form", "leave experts out of the targets, or merge");
    else if (const auto leaf = leaf_of(module.name); std::find(vllm_leaves().begin(), vllm_leaves().end(), leaf) == vllm_leaves().end())
      check->block(module.name, "\"" + leaf + "\" is not among the layer names vLLM adapts", "leave it out of the targets, or merge");
    if (module.embedding)
      check->note(module.name, "vLLM takes embedding adapters only when the vocabulary is the base's", "keep the vocabulary as it is");
  }
  const double rank_in_config = static_cast<double>(config.r);
  const double scale = config.lora_alpha / (config.use_rslora ? std::sqrt(rank_in_config) : rank_in_config);
  check_scales(check, config.use_rslora ? "lora_alpha / sqrt(r)" : "lora_alpha / r", [&](const AdapterModule&) { return scale; });
}

void check_llama_cpp_scales(Check* check) {
  check_scales(check, "lora_alpha / rank", [&](const AdapterModule& m) {
    return check->adapter.config.lora_alpha / static_cast<double>(std::max<int64_t>(m.rank, 1));
  });
}

void check_llama_cpp(Check* check) {
  const auto& config = check->adapter.config;
  for (const auto& tensor : check->adapter.whole) {
    const bool norm = tensor.key.module.find("norm") != std::string::npos;
    if (norm)
      check->block(tensor.name, "the converter takes it but it is ignored when the adapter is used", kDropWhole);
    else if (tensor.key.part == AdapterKey::Part::kBaseLayer)
      check->block(tensor.name, "the converter leaves it out: the adapter would work differently, without an error", kDropWhole);
    else
      check->block(tensor.name, "the converter stops at tensors other than A and B", kDropWhole);
  }
  for (const auto& module : check->adapter.modules) {
    if (module.name.find(".experts.") != std::string::npos)
      check->block(module.name, "adapters on single experts have no place in GGUF", "leave experts out of the targets, or merge");
    const bool head = leaf_of(module.name) == "lm_head" || leaf_of(module.name) == "embed_out";
    if (head && check->base && check->base->tied_embeddings)
      check->block(module.name, "the base's output head is tied to its embeddings, GGUF has no tensor for it",
                   "leave the head out of the targets");
    if (head && !check->base)
      check->note(module.name, "refused when the base's output head is tied", "give the base with --model to be sure");
  }
  if (config.base_model_name_or_path.empty())
    check->note("base_model_name_or_path", "empty: the converter must be told the base", "give it --base DIR");
  check_llama_cpp_scales(check);
}

void check_sglang(Check* check) {
  const auto& config = check->adapter.config;
  const auto* text = std::get_if<std::string>(&config.target_modules);
  if (text != nullptr && *text != "all" && *text != "all-linear")
    check->block("target_modules", "SGLang takes a list, \"all\" or \"all-linear\", no regular expression", "write the list of names");
  refuse_whole_tensors(check, "SGLang has no place for it", /*base_layer_too=*/true);
  check_scales(check, "alpha / rank, without use_rslora,",
               [&](const AdapterModule& m) { return m.alpha / static_cast<double>(std::max<int64_t>(m.rank, 1)); });
}

void check_ollama(Check* check) {
  const auto& config = check->adapter.config;
  if (config.lora_alpha != std::floor(config.lora_alpha) || config.lora_alpha < 0)
    check->block("lora_alpha", "Ollama reads a non-negative integer only", "train with an integer alpha");
  if (check->base) {
    const auto& type = check->base->model_type;
    if (type != "llama" && type != "mistral" && type != "mixtral" && type != "gemma2")
      check->block("model_type", "Ollama reads safetensors adapters for llama and gemma2 bases only, this base is " + type,
                   "convert the adapter to GGUF and give Ollama that");
  }
  for (const auto& module : check->adapter.modules)
    if (module.a_shape.size() == 2 && module.b_shape.size() == 2 && module.rank >= std::min(module.a_shape[1], module.b_shape[0]))
      check->block(module.name, "Ollama tells A and B by the smaller side, here the rank is not smaller", "train with a smaller rank");
  refuse_whole_tensors(check, "Ollama's converter stops at tensors other than A and B", /*base_layer_too=*/true);
  check_llama_cpp_scales(check);
}

struct Consumer {
  const char* name;
  void (*rules)(Check*);
};
constexpr Consumer kConsumers[] = {
    {"peft", check_peft}, {"vllm", check_vllm}, {"llama.cpp", check_llama_cpp}, {"sglang", check_sglang}, {"ollama", check_ollama}};

}  // namespace

bool AdapterVerdict::ok() const {
  return std::none_of(findings.begin(), findings.end(), [](const AdapterFinding& finding) { return finding.blocks; });
}

const std::vector<std::string>& adapter_consumers() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> made;
    for (const auto& consumer : kConsumers) made.emplace_back(consumer.name);
    return made;
  }();
  return names;
}

std::vector<AdapterVerdict> check_adapter(const AdapterFacts& adapter, const std::vector<std::string>& consumers,
                                          const std::optional<AdapterBase>& base) {
  Check common{adapter, base, {}};
  check_common(&common);
  std::vector<AdapterVerdict> verdicts;
  for (const auto& name : consumers) {
    const auto consumer =
        std::find_if(std::begin(kConsumers), std::end(kConsumers), [&](const Consumer& known) { return name == known.name; });
    if (consumer == std::end(kConsumers))
      throw UsageError("unknown consumer \"" + name + "\"")
          .nearest(nearest_name(name, adapter_consumers()))
          .hint("known are " + enumerate(adapter_consumers()));
    Check check{adapter, base, common.verdict};
    check.verdict.consumer = name;
    check_start(&check);
    consumer->rules(&check);
    verdicts.push_back(std::move(check.verdict));
  }
  return verdicts;
}

}  // namespace graft::io
