#include "graft/adapters/adapted_model.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "graft/adapters/active_context.h"
#include "graft/adapters/adapted_weight.h"
#include "graft/adapters/module_tree.h"
#include "graft/base/error.h"
#include "graft/base/strings.h"

namespace graft::detail {
namespace {

void find_below(torch::nn::Module& module, std::vector<std::shared_ptr<AdaptedModel>>* found) {
  if (const auto site = site_of(weight_of(module)); site != nullptr && site->owner != nullptr)
    if (std::find(found->begin(), found->end(), site->owner) == found->end()) found->push_back(site->owner);
  for (const auto& child : module.children()) find_below(*child, found);
}

std::string parent_of(const std::string& path) {
  const auto dot = path.rfind('.');
  return dot == std::string::npos ? "" : path.substr(0, dot);
}

/// A base that a start was taken out of gets it back for whatever part of that adapter does not count: the sum stays W (or the full copy in
/// its place) + Σ weight·what each adapter learned.
void add_taken(WeightSite& site, const AdaptedModel::Weighted& weighted) {
  if (!site.taken) return;
  double weight = site.active_copy.defined() ? 0 : 1;
  for (const auto& [name, share] : weighted)
    if (name == site.taken->adapter) weight -= share;
  if (weight != 0) site.active.push_back({site.taken->factors, weight});
}

}  // namespace

std::vector<std::shared_ptr<AdaptedModel>> AdaptedModel::find_all(torch::nn::Module& root) {
  std::vector<std::shared_ptr<AdaptedModel>> found;
  find_below(root, &found);
  return found;
}

std::shared_ptr<AdaptedModel> AdaptedModel::find(torch::nn::Module& root) {
  const auto found = find_all(root);
  for (const auto& model : found)
    if (model->root_ != &root)
      throw UsageError("adapters (" + enumerate(model->names()) + ") are attached at another module of this model")
          .hint("attach and load every adapter at the same module");
  return found.empty() ? nullptr : found.front();
}

std::shared_ptr<Adapter> AdaptedModel::adapter(const std::string& name) const {
  for (const auto& candidate : adapters_)
    if (candidate->name == name) return candidate;
  throw UsageError("there is no adapter \"" + name + "\"; the model has " + enumerate(names())).nearest(nearest_name(name, names()));
}

std::vector<std::string> AdaptedModel::names() const {
  std::vector<std::string> out;
  for (const auto& entry : adapters_) out.push_back(entry->name);
  return out;
}

void AdaptedModel::add(std::shared_ptr<Adapter> adapter) {
  adapters_.push_back(std::move(adapter));
  restore_active_in_recompute(shared_from_this());
}

AdaptedModel::Weighted AdaptedModel::active_now() const {
  const std::lock_guard lock(active_mutex_);
  return active_;
}

std::shared_ptr<SwappedParameter> AdaptedModel::swap_of(const std::string& path, const at::Tensor& parameter, bool is_buffer) {
  for (const auto& swap : swaps_)
    if (swap->parameter().is_same(parameter)) return swap;
  swaps_.push_back(std::make_shared<SwappedParameter>(path, parameter, is_buffer));
  return swaps_.back();
}

std::vector<std::shared_ptr<WeightSite>> AdaptedModel::sites() const {
  std::vector<std::shared_ptr<WeightSite>> out;
  for (const auto& weak : sites_)
    if (auto site = weak.lock()) out.push_back(std::move(site));
  return out;
}

void AdaptedModel::check_activation(const Weighted& weighted) const {
  std::set<std::string> seen;
  for (const auto& [name, weight] : weighted) {
    adapter(name);
    if (!seen.insert(name).second) throw UsageError("adapter \"" + name + "\" is named twice").hint("give it one weight");
    if (!std::isfinite(weight)) throw UsageError("the weight of adapter \"" + name + "\" is not finite");
  }
  // A sum of two full copies, or a fraction of one, has no meaning.
  const auto check = [](const std::string& what, const std::string& name, double weight, std::string* holder) {
    if (weight != 1) throw UsageError("adapter \"" + name + "\" replaces " + what + ", so its weight can only be 1");
    if (!holder->empty())
      throw UsageError("adapters \"" + *holder + "\" and \"" + name + "\" both replace " + what).hint("activate one of them at a time");
    *holder = name;
  };
  for (const auto& site : sites()) {
    std::string holder;
    for (const auto& [name, weight] : weighted)
      if (const auto* part = site->part(name); part != nullptr && part->copy.defined())
        check("the weight of " + site->path, name, weight, &holder);
  }
  std::map<const SwappedParameter*, std::string> holders;
  for (const auto& [name, weight] : weighted)
    for (const TrainedTensor& tensor : adapter(name)->tensors)
      if (tensor.swapped != nullptr) check(tensor.swapped->path(), name, weight, &holders[tensor.swapped.get()]);
}

void AdaptedModel::activate(const Weighted& weighted) {
  check_activation(weighted);
  {
    const std::lock_guard lock(active_mutex_);
    active_ = weighted;
  }
  for (const auto& site : sites()) {
    site->active.clear();
    site->active_copy.reset();
    for (const auto& [name, weight] : weighted) {
      const auto* part = site->part(name);
      if (part == nullptr) continue;
      if (part->factors != nullptr) site->active.push_back({part->factors, weight});
      if (part->copy.defined()) site->active_copy = part->copy;
    }
    add_taken(*site, weighted);
  }
  show_copies();
}

void AdaptedModel::show_copies() {
  std::map<const SwappedParameter*, std::shared_ptr<SwappedParameter::Copy>> wanted;
  for (const auto& [name, weight] : active_)
    for (const TrainedTensor& tensor : adapter(name)->tensors)
      if (tensor.swapped != nullptr) wanted[tensor.swapped.get()] = tensor.copy;
  if (swaps_.empty()) return;
  std::map<std::string, at::ScalarType> weight_types;
  for (const auto& site : sites()) weight_types.emplace(site->path, site->base->dtype());
  for (const auto& swap : swaps_) {
    const auto beside = weight_types.find(parent_of(swap->path()));
    swap->show(wanted[swap.get()], beside == weight_types.end() ? std::nullopt : std::make_optional(beside->second));
  }
}

std::shared_ptr<WeightSite> AdaptedModel::lost_original(const Adapter& adapter) const {
  for (auto& site : sites())
    if (site->taken && site->taken->adapter == adapter.name && !site->original.defined()) return site;
  return nullptr;
}

bool AdaptedModel::is_removable(const Adapter& adapter) const { return lost_original(adapter) == nullptr; }

void AdaptedModel::put_back(WeightSite& site) {
  const auto module = site.module.lock();
  if (!site.parts.empty() || !site.original.defined() || module == nullptr) return;
  replace_weight(*module, site.original, site.registered);
}

void AdaptedModel::remove(const Adapter& adapter) {
  if (const auto site = lost_original(adapter))
    throw UsageError("adapter \"" + adapter.name + "\" cannot be detached: init pissa changed the base, and the original was not kept")
        .at(site->path)
        .hint("load the model again; keep_base(true) keeps dense weights. deactivate() gives the base's outputs");
  Weighted remaining;
  for (const auto& entry : active_)
    if (entry.first != adapter.name) remaining.push_back(entry);
  activate(remaining);
  const auto owned_sites = sites();
  for (const auto& site : owned_sites) {
    site->parts.erase(
        std::remove_if(site->parts.begin(), site->parts.end(), [&](const auto& part) { return part.adapter == adapter.name; }),
        site->parts.end());
    if (site->taken && site->taken->adapter == adapter.name) {
      site->base = std::make_shared<ops::DenseWeight>(site->original, site->original_required_grad);
      site->taken.reset();
    }
    put_back(*site);
  }
  adapters_.erase(std::remove_if(adapters_.begin(), adapters_.end(), [&](const auto& entry) { return entry.get() == &adapter; }),
                  adapters_.end());
  if (adapters_.empty()) thaw();
  for (const auto& site : owned_sites)
    if (adapters_.empty()) site->owner.reset();  // a quantized weight stays, without adapters
}

bool AdaptedModel::required_grad(const at::Tensor& parameter) const {
  for (const auto& [weak, required] : flags_)
    if (weak._unsafe_get_target() == parameter.unsafeGetTensorImpl()) return required;
  return parameter.requires_grad();
}

void AdaptedModel::freeze() {
  const bool first = flags_.empty();
  for (at::Tensor& parameter : root_->parameters()) {
    if (first) flags_.emplace_back(parameter.getIntrusivePtr(), parameter.requires_grad());
    if (parameter.is_leaf()) parameter.set_requires_grad(false);
  }
}

void AdaptedModel::thaw() {
  for (auto& [weak, required] : flags_) {
    const auto impl = weak.lock();
    if (impl.defined() && required) at::Tensor(impl).set_requires_grad(true);
  }
  flags_.clear();
}

}  // namespace graft::detail
