#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <vector>

#include "graft/ops/parked.h"

namespace graft::ops {

/// Activation recompute (Chen et al. 2016, arXiv:1604.06174): runs `block(input)` without keeping what it would save for
/// backward, and runs it again inside backward. Outputs and gradients are bit-equal to a plain call as long as the block is
/// deterministic given autocast, which is what it was (but for its cache), and the registered contexts (below). Parameters used inside get
/// their gradients accumulated into .grad, so this works under backward(), not under torch::autograd::grad. Where gradients are off it is a
/// plain call.
///
/// The block must own what it captures (it runs again after the caller has returned) and must not change anything in place.
/// Peak memory: one input per block, plus one block's activations during backward. With a `chain`, which blocks of one forward share in the
/// order they run in, the inputs wait in host memory (parked.h).
///
/// The block is told which run it is in: nobody reads the value the second one returns, so it may leave out the work that only that value
/// needs; and what is small but dear it may put into `kept` in the first run and find there in the second.
struct Pass {
  bool gradient_only = false;               ///< the second run
  std::vector<at::Tensor>* kept = nullptr;  ///< null outside of recompute
};
at::Tensor recompute(std::function<at::Tensor(const at::Tensor&, Pass)> block, const at::Tensor& input, ParkedChain* chain = nullptr);

/// What else a block's result depends on, such as the position of a dropout stream. `capture` is called when a block first runs
/// and returns a function that puts the captured state back; that one returns a guard which, when destroyed, after the block's own
/// backward, restores what was there before. Register once, at start-up; the list is never shortened.
using RecomputeRestore = std::function<std::shared_ptr<void>()>;
void register_recompute_context(std::function<RecomputeRestore()> capture);

}  // namespace graft::ops
