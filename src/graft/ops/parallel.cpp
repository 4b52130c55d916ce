#include "graft/ops/parallel.h"

#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>
#include <ATen/ops/arange.h>

namespace graft::ops {

void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& work) {
  if (count <= 0) return;
  if (count <= grain || at::get_num_threads() == 1 || at::in_parallel_region()) return work(0, count);
  // An iterator over 0, 1, …, count-1: LibTorch splits it among its threads, and the first number of a piece says where it is.
  at::Tensor numbers = at::arange(count, at::kLong);
  auto iterator = at::TensorIterator::nullary_op(numbers);
  iterator.for_each(
      [&](char** data, const int64_t*, int64_t size, int64_t pieces) {
        const int64_t begin = *reinterpret_cast<const int64_t*>(data[0]);
        work(begin, begin + size * pieces);
      },
      grain);
}

}  // namespace graft::ops
