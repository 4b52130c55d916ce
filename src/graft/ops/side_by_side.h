#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace graft::ops {

/// Matrices that lie one after the other in one memory, seen as the one that they are parts of: as columns (dimension 1: equal heights,
/// [rows, Σ width]) or as rows (dimension 0: equal widths, [Σ height, width]). A view, nothing is copied; undefined when they do not.
at::Tensor side_by_side(const std::vector<at::Tensor>& parts, int64_t dimension);

}  // namespace graft::ops
