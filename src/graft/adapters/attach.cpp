#include "graft/adapters/attach.h"

#include <cmath>

#include "graft/adapters/adapter_files.h"
#include "graft/adapters/adapter_plan.h"
#include "graft/adapters/peft_config.h"
#include "graft/adapters/weight_start.h"
#include "graft/base/error.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"

namespace graft {
namespace {

constexpr int64_t kMaxRank = 4096;

void check_rank(const char* field, int64_t rank) {
  if (rank < 1 || rank > kMaxRank)
    throw UsageError(std::string(field) + ": " + std::to_string(rank) + " is not a rank")
        .hint("use 1 to " + std::to_string(kMaxRank) + "; 8 to 64 is usual");
}

void check_alpha(const char* field, double alpha) {
  if (!std::isfinite(alpha)) throw UsageError(std::string(field) + " is not finite").hint("2 * rank is usual");
}

void check_choice(const char* field, const std::string& value, const std::vector<std::string>& choices) {
  for (const std::string& choice : choices)
    if (value == choice) return;
  throw UsageError(std::string(field) + ": \"" + value + "\" is not one of " + enumerate(choices)).nearest(nearest_name(value, choices));
}

/// The name becomes a folder in PEFT's layout and a word in messages.
void check_name(const std::string& name) {
  if (name.empty() || name == "." || name == ".." || name.find_first_of("/\\.\n") != std::string::npos)
    throw UsageError("\"" + name + "\" is no adapter name").hint("use a word without dots and slashes");
}

void check_options(const LoraOptions& options) {
  check_name(options.name());
  check_rank("rank", options.rank());
  if (options.alpha()) check_alpha("alpha", *options.alpha());
  for (const LoraOverride& change : options.overrides()) {
    if (change.rank) check_rank("overrides: rank", *change.rank);
    if (change.alpha) check_alpha("overrides: alpha", *change.alpha);
    if (!change.rank && !change.alpha)
      throw UsageError("overrides: \"" + change.match + "\" changes neither rank nor alpha").hint("give one of them");
  }
  if (!(options.dropout() >= 0 && options.dropout() < 1))
    throw UsageError("dropout must be in [0, 1)").hint("0.05 to 0.1 is usual; 0 is off");
  check_choice("bias", options.bias(), {"none", "all", "lora_only"});
  check_choice("init", options.init(), {"default", "gaussian", "pissa", "loftq"});
  const auto dtype = options.dtype();
  if (dtype != at::kFloat && dtype != at::kBFloat16 && dtype != at::kHalf && dtype != at::kDouble)
    throw UsageError(std::string("dtype: adapters cannot be ") + c10::toString(dtype)).hint("use float32 masters");
}

void start_or_put_back(const LoraOptions& options, const detail::AdapterPlan& plan, const AdapterStart& start,
                       const std::shared_ptr<detail::Adapter>& adapter, detail::AdaptedModel& owner) {
  try {
    detail::start_from_weights(*adapter, plan, options.init(), options.keep_base(), start);
  } catch (...) {
    if (owner.is_removable(*adapter)) owner.remove(*adapter);
    throw;
  }
}

}  // namespace

AdapterSet attach(torch::nn::Module& model, const LoraOptions& options, const AdapterStart& start) {
  check_options(options);
  detail::AdapterPlan plan;
  plan.name = options.name();
  plan.resolution = detail::resolve_targets(model, options);
  const bool from_weights = detail::starts_from_weights(options.init());
  if (from_weights) detail::check_weight_start(plan.resolution, options.init(), start);
  plan.config = detail::peft_config(model, options, plan.resolution);
  plan.dtype = options.dtype();
  plan.seed = options.seed();
  std::shared_ptr<detail::AdaptedModel> owner;
  auto adapter = detail::install(model, plan, &owner);
  if (from_weights) start_or_put_back(options, plan, start, adapter, *owner);
  if (options.bias() == "lora_only" && adapter->tensors.size() == adapter->factor_count && plan.resolution.saved.empty())
    log::warning("bias: lora_only trains nothing more: no adapted module has a bias");
  return {std::move(adapter), owner};
}

AdapterSet load_adapter(torch::nn::Module& model, const std::filesystem::path& directory, const std::string& name, bool trainable) {
  check_name(name);
  auto files = detail::read_adapter_files(directory, name);
  const auto plan = detail::plan_from_files(model, &files, name, trainable);
  std::vector<std::pair<std::string, std::vector<int64_t>>> expected;
  for (const auto& tensor : detail::planned_tensors(model, plan)) expected.emplace_back(tensor.key, tensor.shape);
  detail::match_tensors(expected, &files);
  std::shared_ptr<detail::AdaptedModel> owner;
  auto adapter = detail::install(model, plan, &owner);
  for (const auto& tensor : adapter->tensors) tensor.assign(files.tensors.at(tensor.key));
  return {std::move(adapter), owner};
}

}  // namespace graft
