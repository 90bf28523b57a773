#pragma once

// Copies of boxes between matrices in global memory and shared memory by the tensor memory accelerator.

#include <cuda.h>

#include "matmul/barrier.cuh"

namespace halftone::cuda::matmul {

/// Fetches the box whose first element is (column, row); its bytes count for `barrier`.  What lies outside of the matrix is 0.
__device__ __forceinline__ void load_box(const CUtensorMap& matrix, void* box, Barrier& barrier, std::uint32_t column, std::uint32_t row) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(
                   shared_address(box)),
               "l"(&matrix), "r"(column), "r"(row), "r"(barrier.address())
               : "memory");
}

/// Stores a box; what lies outside of the matrix is left out.  Of one thread, after publish_box() of all that wrote it, and
/// followed by end_store().
__device__ __forceinline__ void store_box(const CUtensorMap& matrix, const void* box, std::uint32_t column, std::uint32_t row) {
  asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%1, %2}], [%3];" ::"l"(&matrix), "r"(column), "r"(row),
               "r"(shared_address(box))
               : "memory");
}

/// Counts what this thread has stored since the last call, which may be nothing, as one that is waited for.
__device__ __forceinline__ void end_store() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }

/// Makes what this thread wrote to shared memory visible to copies.
__device__ __forceinline__ void publish_box() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

/// Waits until all but the last `kLeft` stores of this thread have read their boxes.
template <int kLeft>
__device__ __forceinline__ void wait_for_stores() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kLeft) : "memory");
}

__device__ __forceinline__ void prefetch_map(const CUtensorMap& matrix) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&matrix) : "memory");
}

}  // namespace halftone::cuda::matmul
