#pragma once

#include <c10/core/ScalarType.h>
#include <torch/arg.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace graft {

/// Another rank or alpha for some of the adapted modules. `match` is a leaf name, a glob over full names or "regex:…", as in targets.
struct LoraOverride {
  std::string match;
  std::optional<int64_t> rank;
  std::optional<double> alpha;
};

/// How much to adapt, and where. Chainable like every torch::nn options struct: LoraOptions(16).alpha(32).targets("mlp").
/// Each field has the name and meaning it has in a recipe (`adapter.*`); PEFT's name in adapter_config.json is given in brackets.
///
/// A name pattern (targets, exclude, modules_to_save, overrides) is one of
///   a leaf name as in PEFT   "q_proj": every module whose path is, or ends with, that name at a dot
///   a glob over full paths   "*.mlp.*"
///   a regular expression     "regex:layers\.[0-3]\..*_proj", matched against the whole path
/// A pattern that matches nothing is an error that names the nearest existing name.
struct LoraOptions {
  explicit LoraOptions(int64_t rank = 16) : rank_(rank) {}

  /// Rows of A and columns of B [r]. Trainable parameters grow linearly with it. 1 … 4096.
  TORCH_ARG(int64_t, rank);

  /// Numerator of the scale alpha / rank [lora_alpha]. Unset means 2 * rank.
  TORCH_ARG(std::optional<double>, alpha);

  /// Scale by alpha / sqrt(rank) instead (Kalajdzievski 2023): keeps the update's size when the rank is large [use_rslora].
  TORCH_ARG(bool, rank_stabilized) = false;

  /// Probability of dropping an input of A, in [0, 1), while the module is in training mode [lora_dropout]. Embeddings have none (as in
  /// PEFT).
  TORCH_ARG(double, dropout) = 0.0;

  /// Which Linear and Embedding modules [target_modules]: "all-linear" (every Linear; of graft's own causal language models all but the
  /// output head), "attention", "mlp", or name patterns.
  TORCH_ARG(std::vector<std::string>, targets) = {"all-linear"};

  /// Patterns taken out of targets again [exclude_modules].
  TORCH_ARG(std::vector<std::string>, exclude);

  /// Only modules in these layers; the layer is the first number in a module's path [layers_to_transform]. Empty means all.
  TORCH_ARG(std::vector<int64_t>, layers);

  /// Which biases are trained as well: "none", "all" of the model's (every parameter with "bias" in its full name, as in PEFT), or
  /// "lora_only" (the adapted modules' own) [bias].
  TORCH_ARG(std::string, bias) = "none";

  /// Modules trained and saved as full copies beside the adapter (a new output head, norms) [modules_to_save].
  TORCH_ARG(std::vector<std::string>, modules_to_save);

  /// The first match gives a module's rank and alpha [rank_pattern, alpha_pattern].
  TORCH_ARG(std::vector<LoraOverride>, overrides);

  /// How A and B start [init_lora_weights]. Embeddings always: A zero, B ~ N(0, 1).
  ///   "default"   A Kaiming-uniform, U(±1/sqrt(in)), B zero: the adapted model is the base
  ///   "gaussian"  A ~ N(0, 1/rank²), B zero
  ///   "pissa"     s·B·A is the nearest matrix of this rank to W, and is taken out of the base: what is trained are the base's principal
  ///               directions (Meng et al. 2024). What is saved is a plain LoRA of twice the rank for the original base. To start on a base
  ///               in 4 bits: quantize() after attach(), or AdapterStart::unquantized
  ///   "loftq"     on a base in 4 bits, s·B·A is the nearest matrix of this rank to what quantization lost (Li et al. 2023, one round). The
  ///               base stays as quantized, and the saved adapter belongs to it as any adapter trained on it does
  TORCH_ARG(std::string, init) = "default";

  /// With init "pissa": keep the original of each dense weight beside the changed one, so that detach() gives it back bit for bit. False
  /// takes half the memory; detach() is then refused.
  TORCH_ARG(bool, keep_base) = true;

  /// Initial values and dropout masks are pure functions of it and of the module's path.
  TORCH_ARG(uint64_t, seed) = 0;

  /// Of the trained tensors (the masters). The product is computed in the input's dtype.
  TORCH_ARG(at::ScalarType, dtype) = at::kFloat;

  /// The adapter's name in this process: what activate() takes. Not part of the files.
  TORCH_ARG(std::string, name) = "default";

  /// Written to adapter_config.json for other tools [base_model_name_or_path, task_type]. "CAUSAL_LM" also keeps the output head
  /// ("lm_head") out of "all-linear"; empty: "CAUSAL_LM" for graft's own decoders, null for a model of yours.
  TORCH_ARG(std::string, base_model);
  TORCH_ARG(std::string, task_type);

 public:
  /// One pattern instead of a list: targets("all-linear").
  template <class Text, class = std::enable_if_t<std::is_convertible_v<const Text&, std::string_view>>>
  LoraOptions& targets(const Text& one) {
    return targets(std::vector<std::string>{std::string(std::string_view(one))});
  }
  template <class Text, class = std::enable_if_t<std::is_convertible_v<const Text&, std::string_view>>>
  LoraOptions& exclude(const Text& one) {
    return exclude(std::vector<std::string>{std::string(std::string_view(one))});
  }
  template <class Text, class = std::enable_if_t<std::is_convertible_v<const Text&, std::string_view>>>
  LoraOptions& modules_to_save(const Text& one) {
    return modules_to_save(std::vector<std::string>{std::string(std::string_view(one))});
  }
};

}  // namespace graft
