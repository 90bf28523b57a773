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

/// The same to the same place in every block of the cluster whose bit in `blocks` is set, where the barrier at the same place
/// counts the bytes.
__device__ __forceinline__ void load_box_for(std::uint16_t blocks, const CUtensorMap& matrix, void* box, Barrier& barrier,
                                             std::uint32_t column, std::uint32_t row) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%2, %3}], [%4], "
      "%5;" ::"r"(shared_address(box)),
      "l"(&matrix), "r"(column), "r"(row), "r"(barrier.address()), "h"(blocks)
      : "memory");
}

/// Stores a box; what lies outside of the matrix is left out.  Of one thread, after publish_box() of all that wrote it.
__device__ __forceinline__ void store_box(const CUtensorMap& matrix, const void* box, std::uint32_t column, std::uint32_t row) {
  asm volatile(
      "cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%1, %2}], [%3];\ncp.async.bulk.commit_group;" ::"l"(&matrix),
      "r"(column), "r"(row), "r"(shared_address(box))
      : "memory");
}

/// Makes what this thread wrote to shared memory visible to copies.
__device__ __forceinline__ void publish_box() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

/// Waits until at most `kLeft` of the boxes that this thread stored are still to be read from shared memory.
template <int kLeft>
__device__ __forceinline__ void wait_for_stores() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kLeft) : "memory");
}

__device__ __forceinline__ void prefetch_map(const CUtensorMap& matrix) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&matrix) : "memory");
}

}  // namespace halftone::cuda::matmul
