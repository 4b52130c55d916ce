#pragma once

#include <torch/nn/module.h>

#include <memory>
#include <string>

#include "graft/ops/frozen_weight.h"

namespace graft::detail {

/// Makes `frozen` the weight of a Linear, with no adapter: what was there before is let go. A weight that is adapted already keeps its
/// adapters and gets another base. `path` is the module's, for messages.
void store_frozen(const std::shared_ptr<torch::nn::Module>& linear, const std::string& path, std::shared_ptr<ops::FrozenWeight> frozen);

}  // namespace graft::detail
