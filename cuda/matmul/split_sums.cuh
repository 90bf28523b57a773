#pragma once

// Sums of one tile that several blocks of a cluster have of parts of k.

#include "matmul/tile.cuh"

namespace halftone::cuda::matmul {

/// Sends four words to block `rank` of the cluster, to the place that `address` is here; they count for `barrier` there.
__device__ __forceinline__ void send(std::uint32_t rank, std::uint32_t address, Barrier& barrier, const uint4& words) {
  asm volatile(
      "{\n"
      ".reg .b32 there, counted;\n"
      "mapa.shared::cluster.u32 there, %0, %2;\n"
      "mapa.shared::cluster.u32 counted, %1, %2;\n"
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [there], {%3, %4, %5, %6}, [counted];\n"
      "}\n" ::"r"(address),
      "r"(barrier.address()), "r"(rank), "r"(words.x), "r"(words.y), "r"(words.z), "r"(words.w)
      : "memory");
}

/// Before a block takes part in an exchange; of one thread.
template <class Tile>
__device__ __forceinline__ void expect_sums(SplitSums<Tile>& split) {
  split.arrived.initialise(1);
  split.arrived.arrive_expecting(SplitSums<Tile>::kBytes);
}

/// Each thread gets SplitSums::kEach of its sums, those of all blocks added in the order of k; block r has those from r * kEach
/// on.  Every thread of the groups calls it once.
template <class Tile>
__device__ __forceinline__ void exchange_sums(SplitSums<Tile>& split, const typename Tile::Sum (&sums)[Tile::kPartSums],
                                              typename Tile::Sum (&totals)[SplitSums<Tile>::kEach]) {
  using Sum = typename Tile::Sum;
  constexpr int kFours = SplitSums<Tile>::kEach / 4;
  const auto rank = static_cast<int>(rank_in_cluster());
#pragma unroll
  for (int to = 0; to < Tile::kSplit; ++to) {
#pragma unroll
    for (int i = 0; i < kFours; ++i) {
      const Sum* const four = &sums[(to * kFours + i) * 4];
      const uint4 words = {__builtin_bit_cast(std::uint32_t, four[0]), __builtin_bit_cast(std::uint32_t, four[1]),
                           __builtin_bit_cast(std::uint32_t, four[2]), __builtin_bit_cast(std::uint32_t, four[3])};
      uint4& place = split.of[rank][i][threadIdx.x];
      if (to == rank) {
        place = words;
      } else {
        send(static_cast<std::uint32_t>(to), shared_address(&place), split.arrived, words);
      }
    }
  }
  split.arrived.wait(0);
#pragma unroll
  for (int i = 0; i < kFours; ++i) {
#pragma unroll
    for (int from = 0; from < Tile::kSplit; ++from) {
      const uint4 words = split.of[from][i][threadIdx.x];
      const Sum four[4] = {__builtin_bit_cast(Sum, words.x), __builtin_bit_cast(Sum, words.y), __builtin_bit_cast(Sum, words.z),
                           __builtin_bit_cast(Sum, words.w)};
#pragma unroll
      for (int j = 0; j < 4; ++j) totals[i * 4 + j] = from == 0 ? four[j] : totals[i * 4 + j] + four[j];
    }
  }
}

}  // namespace halftone::cuda::matmul
