#pragma once

// Copies of boxes of matrices in global memory to shared memory by the tensor memory accelerator.

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

/// The same box for the blocks of the cluster whose bits `blocks` has: to the same place of each, and for the same barrier.
__device__ __forceinline__ void load_box_to(std::uint16_t blocks, const CUtensorMap& matrix, void* box, Barrier& barrier,
                                            std::uint32_t column, std::uint32_t row) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%2, %3}], [%4], "
      "%5;" ::"r"(shared_address(box)),
      "l"(&matrix), "r"(column), "r"(row), "r"(barrier.address()), "h"(blocks)
      : "memory");
}

__device__ __forceinline__ void prefetch_map(const CUtensorMap& matrix) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&matrix) : "memory");
}

}  // namespace halftone::cuda::matmul
