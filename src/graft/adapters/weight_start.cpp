#include "graft/adapters/weight_start.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "graft/adapters/adapted_weight.h"
#include "graft/adapters/adapter_files.h"
#include "graft/adapters/low_rank.h"
#include "graft/adapters/portable.h"
#include "graft/base/error.h"
#include "graft/base/signals.h"
#include "graft/quant/four_bit_weight.h"

namespace graft::detail {
namespace {

constexpr int64_t kLargestPissaRank = 2048;  // adapter_config.json's largest r is 4096, and what is saved has twice the rank

std::shared_ptr<const quant::FourBitWeight> in_four_bits(const WeightSite* site) {
  return site == nullptr ? nullptr : std::dynamic_pointer_cast<const quant::FourBitWeight>(site->base);
}

void check_target(const Target& target, const std::string& init, const AdapterStart& from) {
  const at::Tensor weight = weight_of(*target.place.module);
  const auto site = site_of(weight);
  const auto refuse = [&](const std::string& why, const std::string& remedy) {
    throw UsageError("init " + init + ": " + why).at(target.place.path).hint(remedy);
  };
  if (!(target.alpha > 0)) refuse("alpha is not above 0, and the start is divided by the scale", "use a positive alpha; 2 * rank is usual");
  const int64_t smaller = std::min(weight.size(0), weight.size(1));
  if (target.rank > smaller)
    refuse("rank " + std::to_string(target.rank) + " is more than the matrix has (" + std::to_string(smaller) + ")",
           "lower the rank, in general or for this module with overrides");
  if (site != nullptr && site->base->kind() == "fp8")
    refuse("the weight is stored in FP8", "attach first and quantize() then, or use another init");
  if (in_four_bits(site.get()) != nullptr && !from.unquantized)
    refuse("the weight is stored in 4 bits, and what it was before is needed",
           "give attach() an AdapterStart with unquantized_weights(directory, dtype)" +
               std::string(init == "pissa" ? ", or attach first and quantize() then" : ""));
  if (init != "pissa") return;
  if (target.rank > kLargestPissaRank)
    refuse("rank " + std::to_string(target.rank) + " is too large: the adapter is saved with twice the rank",
           "use at most " + std::to_string(kLargestPissaRank));
  if (site != nullptr && site->taken)
    refuse("the start of adapter \"" + site->taken->adapter + "\" was taken out of this base already",
           "detach() or merge() that adapter first, or start this one by default");
}

/// The matrix in the same 4-bit form, written over the tensors that are there: new ones, made beside the dense matrix and kept, would leave
/// holes of its size in the host's memory.
quant::FourBitTensor overwritten(quant::FourBitTensor stored, const at::Tensor& matrix, const std::string& path) {
  const auto fresh = quant::encode(matrix, {stored.type, stored.nested(), stored.block}, path + ".weight");
  stored.codes.copy_(fresh.codes);
  stored.absmax.copy_(fresh.absmax);
  if (stored.nested()) stored.nested_absmax.copy_(fresh.nested_absmax);
  stored.offset = fresh.offset;
  return stored;
}

class Starter {
 public:
  Starter(Adapter& adapter, const AdapterPlan& plan, const AdapterStart& from) : adapter_(adapter), plan_(plan), from_(from) {
    if (!from.saved.empty()) saved_ = read_adapter_files(from.saved, adapter.name).tensors;
  }

  /// Room for every A₀ and B₀, before there are dense matrices beside it (see overwritten).
  void reserve_starts() {
    for (size_t i = 0; i < 2 * plan_.resolution.targets.size(); ++i)
      adapter_.tensors[i].start = at::zeros_like(adapter_.tensors[i].value());
  }

  void pissa(size_t index, bool keep_base) {
    const Target& target = plan_.resolution.targets[index];
    TrainedTensor &a = adapter_.tensors[2 * index], &b = adapter_.tensors[2 * index + 1];
    if (target.kind == SiteKind::kEmbedding) return;  // its B·A starts at zero: nothing is taken out
    WeightSite& site = *site_of(weight_of(*target.place.module));
    const at::Tensor weight = weight_before(site);
    saved_.empty() ? assign(site, a, b, weight) : take_saved(a, b);
    // Of the rounded values: what is taken out is what the adapter starts with, whatever its dtype.
    a.start.copy_(a.value()), b.start.copy_(b.value());
    const double scale = scale_of(site);
    const at::Tensor rest = at::addmm(weight.to(at::kFloat), b.start.to(at::kFloat), a.start.to(at::kFloat), 1, -scale).to(weight.dtype());
    if (const auto stored = in_four_bits(&site)) {
      site.base =
          std::make_shared<quant::FourBitWeight>(overwritten(stored->stored(), rest, site.path), stored->dtype(), stored->compute());
    } else {
      site.base = std::make_shared<ops::DenseWeight>(rest, site.original_required_grad);
      if (!keep_base) site.original.reset(), site.registered.reset();
    }
    site.taken = WeightSite::Taken{adapter_.name, std::make_shared<LoraFactors>(LoraFactors{a.start, b.start, scale})};
  }

  void loftq(size_t index) {
    WeightSite& site = *site_of(weight_of(*plan_.resolution.targets[index].place.module));
    if (in_four_bits(&site) == nullptr) return;
    const at::Tensor lost = weight_before(site).to(at::kFloat) - site.base->dense(site.base->dtype()).to(at::kFloat);
    assign(site, adapter_.tensors[2 * index], adapter_.tensors[2 * index + 1], lost);
  }

 private:
  double scale_of(const WeightSite& site) const { return site.part(adapter_.name)->factors->scale; }

  /// W, on the base's device and in its dtype.
  at::Tensor weight_before(const WeightSite& site) const {
    at::Tensor weight;
    if (in_four_bits(&site) == nullptr) {
      weight = site.base->dense(site.base->dtype());
    } else {
      weight = from_.unquantized(site.path);
      if (weight.sizes() != site.base->sizes()) throw DataError("the unquantized weight has another shape than the base").at(site.path);
      weight = weight.to(site.base->device(), site.base->dtype());
    }
    if (!weight.isfinite().all().item<bool>()) throw DataError("the weight holds values that are not finite").at(site.path + ".weight");
    return weight;
  }

  void assign(const WeightSite& site, const TrainedTensor& a, const TrainedTensor& b, const at::Tensor& matrix) const {
    const LowRank nearest = nearest_low_rank(matrix, a.value().size(0), plan_.seed, site.path);
    const double root = std::sqrt(scale_of(site));
    a.assign(nearest.a / root);
    b.assign(nearest.b / root);
  }

  void take_saved(const TrainedTensor& a, const TrainedTensor& b) const {
    for (const TrainedTensor* tensor : {&a, &b}) {
      const auto found = saved_.find(tensor->key);
      if (found == saved_.end() || found->second.sizes() != at::IntArrayRef(portable_shape(tensor->key, tensor->value().sizes())))
        throw DataError("the saved adapter does not hold this module's start").at(from_.saved.string() + ": " + tensor->key);
      tensor->assign(start_in_file(tensor->key, found->second));
    }
  }

  Adapter& adapter_;
  const AdapterPlan& plan_;
  const AdapterStart& from_;
  std::map<std::string, at::Tensor> saved_;
};

}  // namespace

bool starts_from_weights(const std::string& init) { return init == "pissa" || init == "loftq"; }

void check_weight_start(const Resolution& resolution, const std::string& init, const AdapterStart& from) {
  bool any_quantized = false;
  for (const Target& target : resolution.targets) {
    if (target.kind == SiteKind::kEmbedding) continue;
    const bool quantized = in_four_bits(site_of(weight_of(*target.place.module)).get()) != nullptr;
    any_quantized = any_quantized || quantized;
    if (init == "pissa" || quantized) check_target(target, init, from);
  }
  if (init == "loftq" && !any_quantized)
    throw UsageError("init loftq makes up for what quantization lost, and no adapted module is stored in 4 bits")
        .hint("quantize() the model first, or use init pissa");
}

void start_from_weights(Adapter& adapter, const AdapterPlan& plan, const std::string& init, bool keep_base, const AdapterStart& from) {
  const at::NoGradGuard no_graph;
  Starter starter(adapter, plan, from);
  if (init == "pissa") starter.reserve_starts();
  for (size_t i = 0; i < plan.resolution.targets.size(); ++i) {
    stop_if_signalled("decomposing the model's weights");
    init == "pissa" ? starter.pissa(i, keep_base) : starter.loftq(i);
  }
}

}  // namespace graft::detail
