#include "graft/adapters/factor_init.h"

#include <ATen/Functions.h>

#include <cmath>

#include "graft/base/random.h"

namespace graft::detail {

at::Tensor initial_factor(const std::vector<int64_t>& shape, bool is_a, const Target& target, const std::string& init, uint64_t seed) {
  at::Tensor out = at::zeros(shape, at::kFloat);
  const bool starts_random = is_a == (target.kind == SiteKind::kLinear);
  if (!starts_random) return out;
  RandomStream stream(seed, "adapter init " + target.place.path);
  float* values = out.data_ptr<float>();
  const int64_t count = out.numel();
  if (target.kind == SiteKind::kEmbedding || init == "gaussian") {
    const double deviation = target.kind == SiteKind::kEmbedding ? 1.0 : 1.0 / static_cast<double>(target.rank);
    for (int64_t i = 0; i < count; ++i) values[i] = static_cast<float>(deviation * stream.normal());
  } else {
    const double bound = 1.0 / std::sqrt(static_cast<double>(shape[1]));
    for (int64_t i = 0; i < count; ++i) values[i] = static_cast<float>(bound * (2.0 * stream.uniform() - 1.0));
  }
  return out;
}

}  // namespace graft::detail
