#include "graft/app/cast_weight.h"

#include <ATen/Functions.h>

#include "graft/base/error.h"

namespace graft::app {

at::Tensor cast_weight(const at::Tensor& weight, at::ScalarType dtype, const std::string& name) {
  at::Tensor cast = weight.to(dtype).contiguous();
  const bool can_overflow = cast.scalar_type() != weight.scalar_type() && weight.is_floating_point() && dtype != at::kDouble;
  if (can_overflow && !at::isfinite(cast).all().item<bool>() && at::isfinite(weight).all().item<bool>())
    throw DataError("the weight is not finite in " + std::string(at::toString(dtype))).at(name).hint("use --dtype float32 or bfloat16");
  return cast;
}

}  // namespace graft::app
