#pragma once

#include <cuda_runtime.h>

/// Copies into shared memory that nobody waits for until they are needed (cp.async).
namespace graft::ops::cuda {

/// A 16-byte piece from global to shared memory without waiting; zeros when it is outside.
__device__ inline void fetch(uint4* to, const void* from, bool inside) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(static_cast<unsigned>(__cvta_generic_to_shared(to))), "l"(from),
               "r"(inside ? 16 : 0)
               : "memory");
}
__device__ inline void close_stage() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Until all but the `Newest` closed stages are there.
template <int Newest>
__device__ inline void wait_for_stages() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Newest) : "memory");
}

}  // namespace graft::ops::cuda
