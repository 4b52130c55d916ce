#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "graft/io/adapter_config.h"

namespace graft {

namespace detail {
struct Adapter;
class AdaptedModel;
}  // namespace detail

/// One named adapter on one model: what attach() and load_adapter() return. A handle: copies mean the same adapter.
/// It does not keep the model alive. After merge() or detach(), or when the model is gone, the tensors can still be read and saved.
class AdapterSet {
 public:
  AdapterSet(std::shared_ptr<detail::Adapter> adapter, std::weak_ptr<detail::AdaptedModel> model);

  /// The trained tensors, for an optimizer: A and B of each module in the model's order, then trained biases and full copies. Stable.
  /// UsageError when the adapter was loaded frozen. A trained bias (or a norm of modules_to_save) is the model's own parameter while the
  /// adapter is active: activate the adapter you train.
  std::vector<at::Tensor> parameters() const;
  /// The same tensors in the same order, each under its name in PEFT's file ("base_model.model.….lora_A.weight"): what a Trainer takes. Of
  /// a frozen adapter too, to look at; its tensors require no gradient.
  std::vector<std::pair<std::string, at::Tensor>> named_parameters() const;
  /// Everything that save() writes, under its name in the file and with its value now, whether the adapter is active or not: buffers of
  /// modules_to_save too. To read: without gradients, but in the same memory.
  std::vector<std::pair<std::string, at::Tensor>> named_tensors() const;

  /// Writes a PEFT adapter directory (adapter_config.json, adapter_model.safetensors, README.md). It appears whole or not at all and
  /// replaces an older adapter there; UsageError when the directory holds other files. With init "pissa" it is a LoRA of twice the rank for
  /// the original base, as PEFT converts it: it loads like any other, here and in PEFT.
  void save(const std::filesystem::path& directory) const;
  /// The same files into a directory that exists and that the caller makes durable (a checkpoint being written).
  void write_to(const std::filesystem::path& directory) const;
  /// Replaces the values by those of a PEFT adapter directory. Names, shapes and scales must agree one to one: DataError that lists what
  /// does not.
  void load(const std::filesystem::path& directory);

  /// Folds the adapter into the dense base (summed in float32, rounded once) and removes it; the model's outputs stay as they are. The
  /// adapter must be active. A weight shared with another module is written untied: the other module keeps its own. UsageError, and nothing
  /// changed, for a quantized base, a result that is not finite, or a base that another adapter's "pissa" start was taken out of.
  void merge();
  /// Removes the adapter. When it was the last, the base's parameters are back, bit for bit, with their requires_grad flags. UsageError,
  /// and nothing changed, after init "pissa" without keep_base or with a base quantized since: the original weights are gone (deactivate()
  /// still gives the base's outputs, up to rounding).
  void detach();

  const std::string& name() const;
  /// What adapter_config.json says; with init "pissa", before the rank is doubled.
  const io::AdapterConfig& config() const;

 private:
  std::shared_ptr<detail::AdaptedModel> model() const;
  std::shared_ptr<detail::Adapter> adapter_;
  std::weak_ptr<detail::AdaptedModel> model_;
};

}  // namespace graft
