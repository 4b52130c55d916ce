#include "graft/ops/side_by_side.h"

namespace graft::ops {

at::Tensor side_by_side(const std::vector<at::Tensor>& parts, int64_t dimension) {
  const at::Tensor& first = parts.front();
  const int64_t other = 1 - dimension, row = first.stride(0);
  int64_t next = first.storage_offset(), size = 0;
  for (const at::Tensor& part : parts) {
    if (part.dim() != 2 || !part.storage().is_alias_of(first.storage()) || part.dtype() != first.dtype() || part.storage_offset() != next ||
        part.stride(1) != 1 || part.stride(0) != row || part.size(other) != first.size(other))
      return {};
    next += part.size(dimension) * part.stride(dimension);
    size += part.size(dimension);
  }
  // Rows of a matrix are as far apart as it is wide: what lies side by side must fit between them, what lies below must leave no gap.
  if (dimension == 1 ? size > row : first.size(1) != row) return {};
  return dimension == 1 ? first.as_strided({first.size(0), size}, {row, 1}) : first.as_strided({size, row}, {row, 1});
}

}  // namespace graft::ops
