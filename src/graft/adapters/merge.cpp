#include <ATen/Functions.h>

#include <algorithm>

#include "graft/adapters/adapted_model.h"
#include "graft/adapters/adapted_weight.h"
#include "graft/base/error.h"

namespace graft::detail {
namespace {

/// W + weight·(what the adapter learned: s·B·A, less the start that was taken out of the base), summed in float32 (float64
/// for a float64 base) and rounded once to the base's dtype.
at::Tensor folded(const WeightSite& site, const WeightSite::Part& part, double weight) {
  at::NoGradGuard no_graph;
  const auto dtype = site.base->dtype(), wide = site.sum_dtype();
  at::Tensor sum = (part.copy.defined()                     ? part.copy.detach()
                    : site.taken && site.original.defined() ? site.original.detach()
                                                            : site.base->dense(dtype))
                       .to(wide, /*non_blocking=*/false, /*copy=*/true);
  if (part.factors != nullptr) {
    const at::Tensor a = part.factors->a.to(wide), b = part.factors->b.to(wide);
    const double scale = part.factors->scale * weight;
    site.kind == SiteKind::kLinear ? sum.addmm_(b, a, 1, scale) : sum.addmm_(a.t(), b.t(), 1, scale);
  }
  if (site.taken) {
    // The original holds the start, the changed base lacks it.
    const LoraFactors& start = *site.taken->factors;
    const double share = site.original.defined() ? -weight : 1 - weight;
    sum.addmm_(start.b.to(wide), start.a.to(wide), 1, start.scale * share);
  }
  return sum.to(dtype);
}

void check_foldable(const WeightSite& site, const WeightSite::Part& part, double weight) {
  if (site.taken && site.taken->adapter != part.adapter)
    throw UsageError("the start of adapter \"" + site.taken->adapter +
                     "\" was taken out of this base: no other adapter can be folded into it")
        .at(site.path)
        .hint("merge() or detach() that adapter first");
  if (site.base->kind() != "dense")
    throw UsageError("an adapter cannot be folded into a " + site.base->kind() + " base: rounding to it again would change the outputs")
        .at(site.path)
        .hint("load the base without quantization, or use `graft merge`");
  if (!folded(site, part, weight).isfinite().all().item<bool>())
    throw UsageError("the merged weight is not finite")
        .at(site.path)
        .hint("the adapter or the base is damaged, or the base's dtype is too narrow");
}

}  // namespace

void AdaptedModel::merge(const Adapter& adapter) {
  const auto active = std::find_if(active_.begin(), active_.end(), [&](const auto& entry) { return entry.first == adapter.name; });
  if (active == active_.end())
    throw UsageError("adapter \"" + adapter.name + "\" is not active: merging it would change the model's outputs")
        .hint("activate it first");
  const double weight = active->second;
  const auto all = sites();
  for (const auto& site : all)  // everything is checked before anything is changed
    if (const auto* part = site->part(adapter.name)) check_foldable(*site, *part, weight);
  for (const auto& site : all) {
    const auto* part = site->part(adapter.name);
    if (part == nullptr) continue;
    // A new tensor, never in place: the old one may be another module's too (a tied output head).
    at::Tensor merged = folded(*site, *part, weight);
    site->base = std::make_shared<ops::DenseWeight>(merged, site->original_required_grad);
    site->original = merged;
    site->registered = merged;
    site->taken.reset();
    flags_.emplace_back(merged.getIntrusivePtr(), site->original_required_grad);
  }
  for (const TrainedTensor& tensor : adapter.tensors)
    if (tensor.swapped != nullptr) tensor.swapped->set_base(tensor.value().to(tensor.swapped->base().scalar_type()));
  remove(adapter);
}

}  // namespace graft::detail
