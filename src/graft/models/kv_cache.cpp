#include "graft/models/kv_cache.h"

#include <ATen/ops/empty.h>

#include <algorithm>

namespace graft::models {
namespace {

void append_to(at::Tensor* buffer, int64_t length, at::Tensor* added) {
  const int64_t total = length + added->size(1);
  if (!buffer->defined() || buffer->size(1) < total) {
    auto sizes = added->sizes().vec();
    sizes[1] = std::max<int64_t>(64, 2 * total);
    auto larger = at::empty(sizes, added->options());
    if (length > 0) larger.narrow(1, 0, length).copy_(buffer->narrow(1, 0, length));
    *buffer = larger;
  }
  buffer->narrow(1, length, added->size(1)).copy_(*added);
  *added = buffer->narrow(1, 0, total);
}

}  // namespace

void KeyValueCache::append(int64_t layer, at::Tensor* key, at::Tensor* value) {
  append_to(&keys[static_cast<size_t>(layer)], length, key);
  append_to(&values[static_cast<size_t>(layer)], length, value);
}

}  // namespace graft::models
