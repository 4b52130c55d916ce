#include "graft/adapters/adapter_files.h"

#include <ATen/Functions.h>

#include <algorithm>

#include "graft/adapters/adapted_weight.h"
#include "graft/adapters/adapter_card.h"
#include "graft/adapters/peft_config.h"
#include "graft/adapters/portable.h"
#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"
#include "graft/io/adapter_key.h"
#include "graft/io/tensor_file.h"

namespace graft::detail {
namespace {

constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kTensorFile = "adapter_model.safetensors";

std::string shape_text(at::IntArrayRef shape) {
  std::vector<std::string> parts;
  for (const int64_t size : shape) parts.push_back(std::to_string(size));
  return "[" + join(parts, ", ") + "]";
}

/// PEFT writes the adapter "default" into the directory itself and any other into a sub-folder of its name.
fs::path folder_of(const fs::path& directory, const std::string& name) {
  std::error_code ignored;
  if (fs::is_regular_file(directory / kConfigFile, ignored)) return directory;
  return fs::is_regular_file(directory / name / kConfigFile, ignored) ? directory / name : directory;
}

void check_tensor_file(const fs::path& directory) {
  std::error_code ignored;
  if (fs::is_regular_file(directory / kTensorFile, ignored)) return;
  DataError error(std::string("no ") + kTensorFile + " beside " + kConfigFile);
  error.at(directory.string());
  if (fs::exists(directory / "adapter_model.bin", ignored))
    throw error.hint("adapter_model.bin is a pickle, which graft does not run: save the adapter again with safe_serialization=True");
  throw error.hint("copy the whole adapter directory");
}

void check_values(const std::string& place, const std::string& key, const at::Tensor& tensor) {
  if (!at::isFloatingType(tensor.scalar_type())) return;
  if (!tensor.to(at::kFloat).isfinite().all().item<bool>())
    throw DataError("the tensor holds values that are not finite")
        .at(place + ": " + key)
        .hint("the adapter is damaged or its training diverged");
}

/// PEFT before 0.18 wrote the biases of adapted modules without base_layer; modules_to_save beside bias "all" leaves the untrained original
/// too.
void normalise_keys(const std::vector<std::pair<std::string, std::vector<int64_t>>>& expected, AdapterFiles* files) {
  std::map<std::string, at::Tensor> out;
  for (auto& [key, tensor] : files->tensors) {
    std::string name = io::plain_adapter_key(key);
    if (name.empty()) continue;
    if (ends_with(name, ".bias") && !ends_with(name, ".base_layer.bias")) {
      const std::string inner = name.substr(0, name.size() - 4) + "base_layer.bias";
      const bool wanted = std::any_of(expected.begin(), expected.end(), [&](const auto& entry) { return entry.first == inner; });
      if (wanted && files->tensors.count(inner) == 0) name = inner;
    }
    out.emplace(std::move(name), std::move(tensor));
  }
  files->tensors = std::move(out);
}

void add_limited(std::vector<std::string>* list, const std::string& text, size_t* hidden) {
  list->size() < 10 ? list->push_back(text) : void(++*hidden);
}

std::string section(const char* title, std::vector<std::string> names, size_t hidden) {
  if (names.empty()) return "";
  if (hidden > 0) names.push_back(std::to_string(hidden) + " more");
  return std::string("\n  ") + title + ": " + join(names, "\n    ");
}

/// A full weight in the file that the configuration does not ask for: PEFT saves embeddings on its own account. Equal to the base: dropped.
/// Changed (resized vocabulary excluded by its shape): becomes a full copy of this adapter.
bool is_changed_base(const NamedModule& place, const std::string& key, const at::Tensor& tensor, const std::string& where) {
  const at::Tensor weight = weight_of(*place.module);
  const auto site = site_of(weight);
  const at::Tensor base = site == nullptr ? weight.detach() : site->original_matrix();
  if (base.sizes() != tensor.sizes())
    throw DataError("the file replaces " + place.path + " by a matrix of " + shape_text(tensor.sizes()) + ", the base has " +
                    shape_text(base.sizes()))
        .at(where + ": " + key)
        .hint("the adapter was trained on a base with another vocabulary size: use that base");
  if (at::equal(tensor.to(base.scalar_type()), base.cpu())) {
    log::verbose(where + ": " + key + " equals the base's: not loaded twice");
    return false;
  }
  log::warning(where + ": " + key + " differs from the base's weight: the adapter's own copy is used");
  return true;
}

}  // namespace

AdapterFiles read_adapter_files(const fs::path& directory, const std::string& name) {
  AdapterFiles files;
  files.directory = folder_of(directory, name);
  std::vector<std::string> warnings;
  files.config = io::read_adapter_config(files.directory, &warnings);
  for (const std::string& text : warnings) log::warning(text);
  if (io::changes_base(files.config))
    throw DataError("the adapter began as \"" + files.config.init_name + "\": it fits the base that PEFT changed then, not the base itself")
        .at((files.directory / "adapter_config.json").string())
        .hint("save it again with PEFT: save_pretrained(path, path_initial_model_for_weight_conversion=…)");
  check_tensor_file(files.directory);
  files.tensors = io::load_tensors(files.directory / kTensorFile);
  for (const auto& [key, tensor] : files.tensors) check_values((files.directory / kTensorFile).string(), key, tensor);
  return files;
}

std::vector<std::string> modules_with_factors(const AdapterFiles& files) {
  using Part = io::AdapterKey::Part;
  std::vector<std::string> modules;
  for (const auto& [key, tensor] : files.tensors) {
    const auto parsed = io::parse_adapter_key(key);
    if (parsed.part == Part::kA || parsed.part == Part::kEmbeddingA) modules.push_back(parsed.module);
    if (parsed.part == Part::kUnsupported)
      throw DataError("graft has no \"" + parsed.parameter + "\": the adapter is not plain LoRA")
          .at((files.directory / kTensorFile).string() + ": " + key)
          .hint("convert it to LoRA with PEFT");
  }
  return modules;
}

AdapterPlan plan_from_files(torch::nn::Module& root, AdapterFiles* files, const std::string& name, bool trainable) {
  const std::string where = (files->directory / kTensorFile).string();
  const std::vector<std::string> file_targets = modules_with_factors(*files);
  AdapterPlan plan;
  plan.name = name;
  plan.config = files->config;
  plan.trainable = trainable;
  plan.resolution = resolve_config(root, plan.config, file_targets);
  plan.config = untied_config(std::move(plan.config), plan.resolution);

  std::vector<std::pair<std::string, std::vector<int64_t>>> expected;
  for (const PlannedTensor& tensor : planned_tensors(root, plan)) expected.emplace_back(tensor.key, tensor.shape);
  normalise_keys(expected, files);
  for (const NamedModule& place : modules_below(root)) {
    if (!site_kind(*place.module)) continue;
    for (const char* ending : {".base_layer.weight", ".weight"}) {
      const auto found = files->tensors.find("base_model.model." + place.path + ending);
      if (found == files->tensors.end()) continue;
      if (std::any_of(expected.begin(), expected.end(), [&](const auto& entry) { return entry.first == found->first; })) continue;
      const bool changed = is_changed_base(place, found->first, found->second, where);
      at::Tensor tensor = found->second;
      files->tensors.erase(found);
      if (!changed) continue;
      const bool targeted = std::find(file_targets.begin(), file_targets.end(), place.path) != file_targets.end();
      files->tensors["base_model.model." + place.path + (targeted ? ".base_layer.weight" : ".weight")] = tensor;
      plan.weight_copies.push_back(place);
      break;
    }
  }
  return plan;
}

void match_tensors(const std::vector<std::pair<std::string, std::vector<int64_t>>>& expected, AdapterFiles* files) {
  normalise_keys(expected, files);
  std::vector<std::string> missing, unexpected, shapes;
  size_t more_missing = 0, more_unexpected = 0, more_shapes = 0;
  std::map<std::string, bool> known;
  for (const auto& [key, shape] : expected) {
    known[key] = true;
    const auto found = files->tensors.find(key);
    if (found == files->tensors.end())
      add_limited(&missing, key, &more_missing);
    else if (found->second.sizes() != at::IntArrayRef(shape))
      add_limited(&shapes, key + " is " + shape_text(found->second.sizes()) + ", expected " + shape_text(shape), &more_shapes);
  }
  for (const auto& [key, tensor] : files->tensors)
    if (known.count(key) == 0) add_limited(&unexpected, key, &more_unexpected);
  if (missing.empty() && unexpected.empty() && shapes.empty()) return;
  throw DataError("the adapter's tensors do not fit the model and its configuration" + section("missing", missing, more_missing) +
                  section("unexpected", unexpected, more_unexpected) + section("of another shape", shapes, more_shapes))
      .at((files->directory / kTensorFile).string())
      .hint("does the adapter belong to this base?");
}

void write_adapter_files(const Adapter& adapter, const fs::path& directory) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const TrainedTensor& tensor : adapter.tensors) tensors.emplace_back(tensor.key, file_value(tensor));
  io::save_tensors(directory / kTensorFile, tensors);
  const io::AdapterConfig config = portable_config(adapter);
  write_file(directory / kConfigFile, io::to_json(config));
  write_file(directory / "README.md", adapter_card(config));
}

}  // namespace graft::detail
