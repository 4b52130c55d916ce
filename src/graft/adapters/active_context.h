#pragma once

#include <memory>

namespace graft::detail {

class AdaptedModel;

/// Tells ops::recompute about this model: a block that runs again in backward finds those adapters active that were when it first ran, and
/// gives them their gradients, whatever was activated in between; that is active again afterwards. UsageError out of backward when one of
/// them has been removed.
void restore_active_in_recompute(const std::shared_ptr<AdaptedModel>& model);

}  // namespace graft::detail
