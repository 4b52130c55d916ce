#include "graft/app/step_flop.h"

#include "graft/models/family.h"

namespace graft::app {
namespace {

double recomputed_share(const models::DecoderOptions& shape, int64_t recompute_every) {
  const int64_t recomputed = recompute_every > 0 ? shape.layers / recompute_every : 0;
  return static_cast<double>(recomputed) / static_cast<double>(shape.layers);
}

}  // namespace

double weight_flop_per_token(const models::DecoderOptions& shape, int64_t recompute_every, double supervised, bool full) {
  double blocks = 0, head = 0;
  for (const auto& [name, size] : models::linear_shapes(shape))
    (name == "lm_head" ? head : blocks) += static_cast<double>(size[0]) * static_cast<double>(size[1]);
  const double passes = full ? 6 : 4;
  return (passes + 2 * recomputed_share(shape, recompute_every)) * blocks + passes * head * supervised;
}

double attention_flop_per_token(const models::DecoderOptions& shape, int64_t recompute_every, double length) {
  const auto width = static_cast<double>(shape.attention_heads * shape.head_size);
  const double forward = 2 * width * length;  // two products of 2 · width operations with half of `length` positions
  return static_cast<double>(shape.layers) * forward * (3.5 + recomputed_share(shape, recompute_every));
}

}  // namespace graft::app
