#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "graft/ops/documents.h"

namespace graft::ops::cpu {

/// The CPU half of attention() (its contract holds), with gradients. All tensors on the CPU, of one floating dtype.
at::Tensor attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const Documents& documents, double scale,
                     int64_t window);

}  // namespace graft::ops::cpu
