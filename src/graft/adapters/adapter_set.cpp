#include "graft/adapters/adapter_set.h"

#include <algorithm>
#include <cmath>

#include "graft/adapters/adapted_model.h"
#include "graft/adapters/adapter.h"
#include "graft/adapters/adapter_files.h"
#include "graft/adapters/portable.h"
#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/strings.h"
#include "graft/io/atomic_directory.h"

namespace graft {
namespace {

/// What may lie in an adapter directory that save() replaces.
const std::vector<std::string> kReplaceable = {
    "adapter_config.json",    "adapter_model.safetensors", "adapter_model.bin",   "README.md",
    "tokenizer.json",         "tokenizer_config.json",     "chat_template.jinja", "special_tokens_map.json",
    "generation_config.json", "training_args.bin",         ".gitattributes"};

void check_replaceable(const fs::path& directory) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    if (std::find(kReplaceable.begin(), kReplaceable.end(), name) == kReplaceable.end())
      throw UsageError("the directory holds other files than an adapter's (" + name + "); saving would replace it as a whole")
          .at(directory.string())
          .hint("save into a directory of its own");
  }
}

/// A factor of √2 on both sides of a division (portable.h) leaves the scale within a few units of the last place.
bool same_scale(double a, double b) { return a == b || std::abs(a - b) <= 1e-14 * std::abs(b); }

/// alpha / rank is not in the tensors: another scale would load without a word and score wrongly.
void check_scales(const detail::Adapter& adapter, const io::AdapterConfig& other) {
  const io::AdapterConfig own = detail::portable_config(adapter);
  const auto scale = [](const io::AdapterConfig& config, const std::string& path) {
    const auto rank = static_cast<double>(io::rank_of(config, path));
    return io::alpha_of(config, path) / (config.use_rslora ? std::sqrt(rank) : rank);
  };
  static const std::string prefix = "base_model.model.";
  for (const auto& tensor : adapter.tensors) {
    const auto ending = tensor.key.rfind(".lora_");
    if (ending == std::string::npos) continue;
    const std::string path = tensor.key.substr(prefix.size(), ending - prefix.size());
    if (!same_scale(scale(own, path), scale(other, path)))
      throw DataError("the scale of " + path + " is " + std::to_string(scale(other, path)) + " in the file, " +
                      std::to_string(scale(own, path)) + " in this adapter")
          .hint("attach with the file's r, alpha and rank_stabilized, or use load_adapter()");
  }
}

}  // namespace

AdapterSet::AdapterSet(std::shared_ptr<detail::Adapter> adapter, std::weak_ptr<detail::AdaptedModel> model)
    : adapter_(std::move(adapter)), model_(std::move(model)) {}

std::vector<at::Tensor> AdapterSet::parameters() const {
  if (!adapter_->trainable)
    throw UsageError("adapter \"" + adapter_->name + "\" was loaded frozen: it has nothing to train")
        .hint("load_adapter(model, directory, name, /*trainable=*/true)");
  std::vector<at::Tensor> out;
  for (const auto& tensor : adapter_->tensors)
    if (tensor.is_trained()) out.push_back(tensor.leaf());
  return out;
}

std::vector<std::pair<std::string, at::Tensor>> AdapterSet::named_parameters() const {
  std::vector<std::pair<std::string, at::Tensor>> out;
  for (const auto& tensor : adapter_->tensors)
    if (tensor.is_trained()) out.emplace_back(tensor.key, tensor.leaf());
  return out;
}

std::vector<std::pair<std::string, at::Tensor>> AdapterSet::named_tensors() const {
  std::vector<std::pair<std::string, at::Tensor>> out;
  for (const auto& tensor : adapter_->tensors) out.emplace_back(tensor.key, tensor.value());
  return out;
}

void AdapterSet::save(const fs::path& directory) const {
  check_replaceable(directory);
  io::AtomicDirectory whole(directory);
  detail::write_adapter_files(*adapter_, whole.path());
  whole.commit();
}

void AdapterSet::write_to(const fs::path& directory) const { detail::write_adapter_files(*adapter_, directory); }

void AdapterSet::load(const fs::path& directory) {
  auto files = detail::read_adapter_files(directory, adapter_->name);
  std::vector<std::pair<std::string, std::vector<int64_t>>> expected;
  for (const auto& tensor : adapter_->tensors) expected.emplace_back(tensor.key, detail::file_shape(tensor));
  detail::match_tensors(expected, &files);
  check_scales(*adapter_, files.config);
  for (const auto& tensor : adapter_->tensors) detail::assign_from_file(tensor, files.tensors.at(tensor.key));
}

void AdapterSet::merge() { model()->merge(*adapter_); }

void AdapterSet::detach() { model()->remove(*adapter_); }

const std::string& AdapterSet::name() const { return adapter_->name; }
const io::AdapterConfig& AdapterSet::config() const { return adapter_->config; }

std::shared_ptr<detail::AdaptedModel> AdapterSet::model() const {
  auto owner = model_.lock();
  const bool attached =
      owner != nullptr && std::find(owner->adapters().begin(), owner->adapters().end(), adapter_) != owner->adapters().end();
  if (!attached) throw UsageError("adapter \"" + adapter_->name + "\" is on no model: it was merged or detached, or the model is gone");
  return owner;
}

}  // namespace graft
