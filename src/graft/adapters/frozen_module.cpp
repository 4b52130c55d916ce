#include "graft/adapters/frozen_module.h"

#include "graft/adapters/adapted_weight.h"

namespace graft::detail {

void store_frozen(const std::shared_ptr<torch::nn::Module>& linear, const std::string& path, std::shared_ptr<ops::FrozenWeight> frozen) {
  if (const auto site = site_of(weight_of(*linear))) {
    site->base = std::move(frozen);
    site->original.reset();
    site->registered.reset();
    return;
  }
  const auto site = std::make_shared<WeightSite>(std::move(frozen), SiteKind::kLinear, path, linear);
  const at::Tensor weight = make_adapted_weight(site);
  replace_weight(*linear, weight, weight);
}

}  // namespace graft::detail
