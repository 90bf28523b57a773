#pragma once

// Sums of one tile that several blocks of a cluster have of parts of k.

#include "matmul/tile.cuh"

namespace halftone::cuda::matmul {

/// A word in the shared memory of block `rank` of the cluster, in the place that `address` is in this one's.
__device__ __forceinline__ void store_at(std::uint32_t rank, std::uint32_t address, std::uint32_t word) {
  asm volatile(
      "{\n"
      ".reg .b32 there;\n"
      "mapa.shared::cluster.u32 there, %0, %1;\n"
      "st.shared::cluster.b32 [there], %2;\n"
      "}\n" ::"r"(address),
      "r"(rank), "r"(word)
      : "memory");
}

/// Each thread gets SplitSums::kEach of its sums, those of all blocks added in the order of k; block r has those from r * kEach
/// on.  Every warp of the groups calls it once; one without rows of y (`has_rows`) sends nothing.
template <class Tile>
__device__ __forceinline__ void exchange_sums(SplitSums<Tile>& split, bool has_rows, const typename Tile::Sum (&sums)[Tile::kPartSums],
                                              typename Tile::Sum (&totals)[SplitSums<Tile>::kEach]) {
  constexpr int kEach = SplitSums<Tile>::kEach;
  const std::uint32_t rank = rank_in_cluster();
  if (has_rows) {
#pragma unroll
    for (int to = 0; to < Tile::kSplit; ++to) {
#pragma unroll
      for (int i = 0; i < kEach; ++i) {
        store_at(static_cast<std::uint32_t>(to), shared_address(&split.of[rank][i][threadIdx.x]),
                 __builtin_bit_cast(std::uint32_t, sums[to * kEach + i]));
      }
    }
  }
  __syncwarp();
  if (threadIdx.x % 32 < Tile::kSplit) split.arrived.arrive_at(threadIdx.x % 32);
  split.arrived.wait_for_cluster(0);
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    totals[i] = split.of[0][i][threadIdx.x];
#pragma unroll
    for (int from = 1; from < Tile::kSplit; ++from) totals[i] += split.of[from][i][threadIdx.x];
  }
}

}  // namespace halftone::cuda::matmul
