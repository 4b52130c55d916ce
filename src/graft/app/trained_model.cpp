#include "graft/app/trained_model.h"

#include <torch/nn/module.h>

#include <cmath>
#include <set>

#include "graft/adapters/attach.h"
#include "graft/app/base_model.h"
#include "graft/app/decoder_loss.h"
#include "graft/app/device.h"
#include "graft/app/model_files.h"
#include "graft/app/recipe_options.h"
#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/log.h"
#include "graft/base/random.h"
#include "graft/io/adapter_check.h"
#include "graft/io/model_directory.h"
#include "graft/io/tensor_file.h"
#include "graft/models/family.h"
#include "graft/models/load.h"

namespace graft::app {
namespace {

constexpr const char* kWeights = "model.safetensors";

models::Decoder load_decoder(const recipe::Recipe& recipe, at::Device device, std::shared_ptr<PackedWeights> packed) {
  LoadOptions options;
  options.device = device;
  options.dtype = dtype_of(recipe.model.dtype);
  if (recipe.model.init == "random") options.random_seed = derive_seed(static_cast<uint64_t>(recipe.seed), "model");
  options.linears = linear_loader(recipe, std::move(packed));
  return load_model(recipe.model.path, options);
}

// rank, alpha and the like come from the adapter continued from; a recipe may repeat them but not contradict them.
void check_agreement(const recipe::Recipe& recipe, const io::AdapterConfig& config) {
  const auto refuse = [&](const std::string& key, const std::string& has) {
    throw RecipeError(key + " differs from the adapter in adapter.init_from, which has " + has)
        .at(recipe.place_of(key))
        .hint("leave " + key + " out: it comes from that adapter");
  };
  const auto& adapter = recipe.adapter;
  if (recipe.was_given("adapter.rank") && adapter.rank != config.r) refuse("adapter.rank", std::to_string(config.r));
  if (recipe.was_given("adapter.alpha") && adapter.effective_alpha() != config.lora_alpha)
    refuse("adapter.alpha", std::to_string(config.lora_alpha));
  if (recipe.was_given("adapter.scaling") && (adapter.scaling == "rslora") != config.use_rslora)
    refuse("adapter.scaling", config.use_rslora ? "rslora" : "standard");
  if (recipe.was_given("adapter.bias") && adapter.bias != config.bias) refuse("adapter.bias", config.bias);
  if (recipe.was_given("adapter.dropout") && adapter.dropout != config.lora_dropout)
    refuse("adapter.dropout", std::to_string(config.lora_dropout));
  for (const char* key :
       {"adapter.target", "adapter.exclude", "adapter.layers", "adapter.overrides", "adapter.modules_to_save", "adapter.init"})
    if (recipe.was_given(key)) refuse(key, "its own");
}

AdapterSet continue_adapter(const recipe::Recipe& recipe, torch::nn::Module& model) {
  auto adapters = load_adapter(model, recipe.adapter.init_from, "default", /*trainable=*/true);
  check_agreement(recipe, adapters.config());
  return adapters;
}

AdapterSet make_adapter(const recipe::Recipe& recipe, torch::nn::Module& model, const fs::path& checkpoint) {
  if (!recipe.adapter.init_from.empty()) return continue_adapter(recipe, model);
  try {
    auto options = lora_options(recipe);
    // The checkpoint's values are about to replace those of a start that changes nothing else: it need not be computed again.
    if (recipe.adapter.init == "loftq" && !checkpoint.empty()) options.init("default");
    return attach(model, options, adapter_start(recipe, checkpoint));
  } catch (const Error& error) {  // a library user's mistake is a recipe's here
    if (error.code() != ExitCode::kUsage) throw;
    const std::string module = error.where().empty() ? "" : " (" + error.where() + ")";
    throw RecipeError("adapter: " + error.message() + module)
        .at(recipe.place_of("adapter.target"))
        .nearest(error.nearest())
        .hint(error.hint());
  }
}

// A tied head is the embedding's tensor under a second name: trained, counted and saved once.
train::NamedTensors all_parameters(torch::nn::Module& model) {
  train::NamedTensors unique;
  std::set<const void*> seen;
  for (const auto& item : model.named_parameters())
    if (seen.insert(item.value().unsafeGetTensorImpl()).second) unique.emplace_back(item.key(), item.value());
  return unique;
}

void load_into(const train::NamedTensors& parameters, const fs::path& file) {
  const auto saved = io::load_tensors(file);
  const at::NoGradGuard no_gradients;
  for (const auto& [name, parameter] : parameters) {
    const auto found = saved.find(name);
    if (found == saved.end() || found->second.sizes() != parameter.sizes())
      throw DataError("the checkpoint does not hold this parameter").at(file.string() + ": " + name);
    parameter.copy_(found->second);
  }
}

}  // namespace

std::unique_ptr<TrainedModel> TrainedModel::make(const recipe::Recipe& recipe, const RunData& data, at::Device device,
                                                 int64_t recompute_every, const fs::path& checkpoint) {
  auto model = std::make_unique<TrainedModel>();
  model->base_fingerprint_ = model_fingerprint(recipe.model.path, recipe.model.init != "random");
  model->packed_ = PackedCache::open(recipe, model->base_fingerprint_);
  model->decoder_ = load_decoder(recipe, device, model->packed_);
  if (recipe.adapter.init == "pissa") model->finish();  // it writes over the quantized weights
  using KeptInputs = models::DecoderImpl::KeptInputs;
  model->decoder_->set_recompute(recompute_every, recipe.memory.offload_activations ? KeptInputs::kOnHost : KeptInputs::kOnDevice);
  if (recipe.adapter.type == "full") {
    for (const auto& [name, parameter] : all_parameters(*model->decoder_)) parameter.set_requires_grad(true);
  } else {
    model->adapters_ = make_adapter(recipe, *model->decoder_, checkpoint);
  }
  if (data.chat_template) model->chat_template_ = data.chat_template->source();
  return model;
}

train::NamedTensors TrainedModel::parameters() const {
  if (!adapters_) return all_parameters(*decoder_.ptr());
  train::NamedTensors trained;
  for (auto& [name, tensor] : adapters_->named_parameters())
    if (tensor.requires_grad()) trained.emplace_back(name, tensor);
  return trained;
}

void TrainedModel::keep_packed() {
  if (packed_) packed_->save();
}

void TrainedModel::finish() {
  keep_packed();
  if (packed_) packed_->wait();
}

int64_t TrainedModel::trainable_parameters() const {
  int64_t count = 0;
  for (const auto& [name, tensor] : parameters()) count += tensor.numel();
  return count;
}

train::LossFunction TrainedModel::loss_function(const recipe::Recipe& recipe) {
  return decoder_loss(decoder_, recipe.memory.loss_chunk.value_or(0));
}

train::WeightFiles TrainedModel::files(const recipe::Recipe& recipe) {
  train::WeightFiles files;
  if (adapters_) {
    files.save = [this](const fs::path& directory) { adapters_->save(directory); };
    files.load = [this](const fs::path& directory) { adapters_->load(directory); };
    files.save_final = [this](const fs::path& directory) {
      adapters_->save(directory);
      if (!chat_template_.empty()) write_file(directory / "chat_template.jinja", chat_template_);
    };
    return files;
  }
  files.save = [this](const fs::path& directory) { io::save_tensors(directory / kWeights, parameters()); };
  files.load = [this](const fs::path& directory) { load_into(parameters(), directory / kWeights); };
  files.save_final = [this, &recipe](const fs::path& directory) {
    io::save_tensors(directory / kWeights, parameters());
    copy_model_files(recipe.model.path, directory);
    Json config = read_json((fs::path(recipe.model.path) / "config.json").string());
    set_config_dtype(&config, recipe.model.dtype);
    write_file(directory / "config.json", dump_json(config, 2) + "\n");
    if (!chat_template_.empty() && !text::is_default_template(recipe.model.path, chat_template_))
      replace_file(directory / "chat_template.jinja", chat_template_);
  };
  return files;
}

void report_exports(const recipe::Recipe& recipe, const fs::path& weights) {
  if (recipe.adapter.type == "full") return;
  for (const auto& item : recipe.exports) {
    if (item.check.empty()) continue;
    const io::ModelDirectory directory(recipe.model.path, io::ModelDirectory::Open::kConfigOnly);
    const auto decoder = models::read_decoder_options(directory);
    const io::AdapterBase base{decoder.family, decoder.tied_embeddings, models::linear_shapes(decoder)};
    for (const auto& verdict : io::check_adapter(io::inspect_adapter(weights), item.check, base)) {
      log::info(verdict.consumer + (verdict.ok() ? " loads this adapter" : " refuses this adapter or changes its effect"));
      for (const auto& finding : verdict.findings)
        log::warning(verdict.consumer + ": " + finding.subject + ": " + finding.why + "; " + finding.what_to_do);
    }
  }
}

}  // namespace graft::app
