#include "graft/adapters/adapter_plan.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <map>
#include <set>

#include "graft/adapters/adapted_weight.h"
#include "graft/adapters/dropout_stream.h"
#include "graft/adapters/factor_init.h"
#include "graft/base/error.h"
#include "graft/base/strings.h"

namespace graft::detail {
namespace {

const std::string kPrefix = "base_model.model.";

std::string joined(const std::string& path, const std::string& name) { return path.empty() ? name : path + "." + name; }

class Planner {
 public:
  Planner(torch::nn::Module& root, const AdapterPlan& plan) : root_(root), plan_(plan) {
    for (const Target& target : plan.resolution.targets) targeted_.insert(target.place.path);
  }

  std::vector<PlannedTensor> run() {
    for (size_t i = 0; i < plan_.resolution.targets.size(); ++i) add_factors(i);
    for (const NamedModule& saved : plan_.resolution.saved) add_saved(saved);
    for (const NamedModule& place : plan_.weight_copies) {
      const std::string key = joined(place.path, targeted_.count(place.path) > 0 ? "base_layer.weight" : "weight");
      add_weight_copy(place, kPrefix + key);
    }
    add_biases();
    refuse_shared();
    return std::move(out_);
  }

 private:
  void add_factors(size_t index) {
    const Target& target = plan_.resolution.targets[index];
    const auto sizes = weight_of(*target.place.module).sizes();
    const std::string base = kPrefix + target.place.path;
    PlannedTensor a{PlannedTensor::Role::kA, base + ".lora_A.weight", {target.rank, sizes[1]}, target.place, index};
    PlannedTensor b{PlannedTensor::Role::kB, base + ".lora_B.weight", {sizes[0], target.rank}, target.place, index};
    if (target.kind == SiteKind::kEmbedding) {
      a.key = base + ".lora_embedding_A", a.shape = {target.rank, sizes[0]};
      b.key = base + ".lora_embedding_B", b.shape = {sizes[1], target.rank};
    }
    a.dtype = b.dtype = plan_.dtype;
    out_.push_back(std::move(a));
    out_.push_back(std::move(b));
  }

  void add_weight_copy(const NamedModule& place, const std::string& key) {
    check_adaptable(*place.module, place.path);
    PlannedTensor tensor{PlannedTensor::Role::kWeightCopy, key, weight_of(*place.module).sizes().vec(), place};
    tensor.dtype = plan_.dtype;
    copied_.insert(place.path);
    out_.push_back(std::move(tensor));
  }

  void add_swap(const NamedModule& place, const std::string& name, const at::Tensor& parameter, bool is_buffer) {
    const bool adapted_base = targeted_.count(place.path) > 0;
    PlannedTensor tensor{PlannedTensor::Role::kSwap, kPrefix + joined(place.path, adapted_base ? "base_layer." + name : name),
                         parameter.sizes().vec(), place};
    tensor.path = joined(place.path, name);
    tensor.parameter = parameter;
    tensor.is_buffer = is_buffer;
    // The bias of an adapted Linear is cast to the input's dtype there, so it can be a master; elsewhere the module's own code uses it as
    // it is.
    const bool casts = (adapted_base || copied_.count(place.path) > 0) && name == "bias" && parameter.is_floating_point();
    tensor.dtype = casts ? plan_.dtype : parameter.scalar_type();
    out_.push_back(std::move(tensor));
  }

  void add_saved(const NamedModule& saved) {
    std::vector<NamedModule> inside{saved};
    for (NamedModule& below : modules_below(*saved.module)) inside.push_back({joined(saved.path, below.path), std::move(below.module)});
    for (const NamedModule& place : inside) {
      saved_.insert(place.path);
      if (site_kind(*place.module)) add_weight_copy(place, kPrefix + joined(place.path, "weight"));
      for (const auto& parameter : place.module->named_parameters(/*recurse=*/false))
        if (!(site_kind(*place.module) && parameter.key() == "weight")) add_swap(place, parameter.key(), parameter.value(), false);
      for (const auto& buffer : place.module->named_buffers(/*recurse=*/false)) add_swap(place, buffer.key(), buffer.value(), true);
    }
  }

  void add_biases() {
    if (plan_.config.bias == "none") return;
    for (const NamedModule& place : modules_below(root_))
      if (saved_.count(place.path) == 0) add_biases_of(place, *place.module);
    add_biases_of({"", nullptr}, root_);
  }

  void add_biases_of(const NamedModule& place, const torch::nn::Module& module) {
    for (const auto& parameter : module.named_parameters(/*recurse=*/false)) {
      if (!is_trained_bias(place.path, parameter.key())) continue;
      if (parameter.key() != "weight" || !site_kind(module))
        add_swap(place, parameter.key(), parameter.value(), false);
      else if (copied_.count(place.path) == 0)
        add_weight_copy(place, kPrefix + joined(place.path, targeted_.count(place.path) > 0 ? "base_layer.weight" : "weight"));
    }
  }

  /// "all" is PEFT's: whatever has "bias" in its full name (in_proj_bias, bias_ih_l0).
  bool is_trained_bias(const std::string& path, const std::string& name) const {
    if (plan_.config.bias == "all") return joined(path, name).find("bias") != std::string::npos;
    return targeted_.count(path) > 0 && name == "bias";
  }

  /// A swapped tensor that a second module also holds would change there too.
  void refuse_shared() const {
    std::map<const c10::TensorImpl*, std::vector<std::string>> users;
    std::vector<NamedModule> places = modules_below(root_);
    for (const NamedModule& place : places)
      for (const auto& parameter : place.module->named_parameters(/*recurse=*/false))
        users[parameter.value().unsafeGetTensorImpl()].push_back(joined(place.path, parameter.key()));
    for (const PlannedTensor& tensor : out_) {
      if (tensor.role != PlannedTensor::Role::kSwap) continue;
      const auto found = users.find(tensor.parameter.unsafeGetTensorImpl());
      if (found != users.end() && found->second.size() > 1)
        throw UsageError("cannot train a copy of " + tensor.path + ": it is one tensor shared by " + enumerate(found->second))
            .hint("untie them first, or leave this parameter out of bias and modules_to_save");
    }
  }

  torch::nn::Module& root_;
  const AdapterPlan& plan_;
  std::set<std::string> targeted_, copied_, saved_;
  std::vector<PlannedTensor> out_;
};

std::shared_ptr<WeightSite> site_for(const NamedModule& place, const std::shared_ptr<AdaptedModel>& model) {
  const at::Tensor weight = weight_of(*place.module);
  std::shared_ptr<WeightSite> site = site_of(weight);
  if (site == nullptr) {
    const bool required = model->required_grad(weight);
    site = std::make_shared<WeightSite>(std::make_shared<ops::DenseWeight>(weight, required), *site_kind(*place.module), place.path,
                                        place.module);
    site->original = weight;
    site->registered = registered_weight(*place.module);
    site->original_required_grad = required;
    const at::Tensor adapted = make_adapted_weight(site);
    replace_weight(*place.module, adapted, adapted);
  }
  if (site->owner == nullptr) {
    site->owner = model;
    model->add_site(site);
  }
  return site;
}

WeightSite::Part& part_for(WeightSite& site, const std::string& adapter) {
  for (WeightSite::Part& part : site.parts)
    if (part.adapter == adapter) return part;
  site.parts.push_back({adapter, nullptr, {}});
  return site.parts.back();
}

/// The values a tensor starts with, made before the model is touched: running out of memory here leaves the model as it was.
at::Tensor initial_value(const PlannedTensor& tensor, const AdapterPlan& plan) {
  const at::Tensor weight = tensor.role == PlannedTensor::Role::kSwap ? at::Tensor() : weight_of(*tensor.place.module);
  at::NoGradGuard no_graph;
  switch (tensor.role) {
    case PlannedTensor::Role::kA:
    case PlannedTensor::Role::kB: {
      const bool is_a = tensor.role == PlannedTensor::Role::kA;
      const Target& target = plan.resolution.targets[tensor.target];
      return initial_factor(tensor.shape, is_a, target, plan.config.init_name, plan.seed).to(weight.device(), tensor.dtype);
    }
    case PlannedTensor::Role::kWeightCopy: {
      const auto site = site_of(weight);
      const at::Tensor base = site == nullptr ? weight.detach() : site->original_matrix();
      return base.to(tensor.dtype, /*non_blocking=*/false, /*copy=*/true).contiguous();
    }
    case PlannedTensor::Role::kSwap:
      break;
  }
  return tensor.parameter.detach().to(tensor.dtype, /*non_blocking=*/false, /*copy=*/true);
}

double scale_of(const Target& target, const io::AdapterConfig& config) {
  const auto rank = static_cast<double>(target.rank);
  return target.alpha / (config.use_rslora ? std::sqrt(rank) : rank);
}

}  // namespace

std::vector<PlannedTensor> planned_tensors(torch::nn::Module& root, const AdapterPlan& plan) { return Planner(root, plan).run(); }

std::shared_ptr<Adapter> install(torch::nn::Module& root, const AdapterPlan& plan, std::shared_ptr<AdaptedModel>* model) {
  auto owner = AdaptedModel::find(root);
  if (owner != nullptr) {
    const auto names = owner->names();
    if (std::find(names.begin(), names.end(), plan.name) != names.end())
      throw UsageError("the model already has an adapter \"" + plan.name + "\"").hint("give this one another name, or detach() the first");
  }
  // A copy is made of what the base holds, not of what an active adapter shows.
  const auto active_before = owner == nullptr ? AdaptedModel::Weighted{} : owner->active();
  if (owner != nullptr) owner->activate({});
  std::vector<PlannedTensor> planned;
  std::vector<at::Tensor> values;
  try {
    planned = planned_tensors(root, plan);
    for (const PlannedTensor& tensor : planned) values.push_back(initial_value(tensor, plan));
  } catch (...) {
    if (owner != nullptr) owner->activate(active_before);
    throw;
  }

  if (owner == nullptr) owner = std::make_shared<AdaptedModel>(root);
  owner->freeze();
  if (plan.config.lora_dropout > 0) register_dropout_recompute();
  auto adapter = std::make_shared<Adapter>();
  adapter->name = plan.name;
  adapter->config = plan.config;
  adapter->trainable = plan.trainable;
  adapter->module_count = plan.resolution.targets.size();
  for (size_t i = 0; i < planned.size(); ++i) {
    const PlannedTensor& tensor = planned[i];
    TrainedTensor trained{tensor.key, {}, nullptr, nullptr, {}};
    if (tensor.role == PlannedTensor::Role::kSwap) {
      trained.swapped = owner->swap_of(tensor.path, tensor.parameter, tensor.is_buffer);
      trained.copy = std::make_shared<SwappedParameter::Copy>(SwappedParameter::Copy{values[i], {}, plan.trainable});
    } else {
      trained.own = values[i].set_requires_grad(plan.trainable);
      const auto site = site_for(tensor.place, owner);
      WeightSite::Part& part = part_for(*site, plan.name);
      if (tensor.role == PlannedTensor::Role::kWeightCopy) {
        part.copy = trained.own;
      } else {
        if (part.factors == nullptr) part.factors = std::make_shared<LoraFactors>();
        const Target& target = plan.resolution.targets[tensor.target];
        (tensor.role == PlannedTensor::Role::kA ? part.factors->a : part.factors->b) = trained.own;
        part.factors->scale = scale_of(target, plan.config);
        part.factors->dropout = target.kind == SiteKind::kLinear ? plan.config.lora_dropout : 0;
        part.factors->seed = plan.seed;
        part.factors->dropout_site = dropout_site(tensor.place.path);
        ++adapter->factor_count;
      }
    }
    adapter->tensors.push_back(std::move(trained));
  }
  owner->add(adapter);
  owner->activate({{plan.name, 1.0}});
  *model = owner;
  return adapter;
}

}  // namespace graft::detail
