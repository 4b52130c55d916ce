#pragma once

#include <cstdint>
#include <functional>

namespace graft::ops {

/// Calls work(begin, end) for ranges that cover [0, count), of at least `grain` each, on LibTorch's own threads. at::parallel_for is a
/// template that runs serially unless the calling file is compiled with LibTorch's threading flags; this goes through a compiled
/// entry of LibTorch, so that there is one thread pool whatever LibTorch was built with.
void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t begin, int64_t end)>& work);

}  // namespace graft::ops
