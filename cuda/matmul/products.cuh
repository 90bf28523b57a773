#pragma once

// What the groups of a block do with the stages: their products, summed up.

#include "matmul/tile.cuh"
#include "matmul/wgmma_shapes.cuh"

namespace halftone::cuda::matmul {

/// Tells the fetching groups of the blocks that share tiles that this warp is through with a stage.
template <class Tile>
__device__ __forceinline__ void release(SharedTiles<Tile>& shared, std::uint32_t stage) {
  if constexpr (Tile::kSharing == 1) {
    if (threadIdx.x % 32 == 0) shared.empty[stage].arrive();
  } else {
    if (threadIdx.x % 32 < Tile::kSharing) shared.empty[stage].arrive_at(threadIdx.x % 32);
  }
}

/// Begins the products of one stage for part `part` of group `group`.
template <class Tile>
__device__ __forceinline__ void multiply(SharedTiles<Tile>& shared, std::uint32_t stage, int group, int part,
                                         typename Tile::Sum (&sums)[Tile::kPartSums], bool accumulate) {
  const int row = group * Tile::kGroupRows + part / Tile::kPartsAcross * 64;
  const int column = part % Tile::kPartsAcross * Tile::kPartColumns;
#pragma unroll
  for (int step = 0; step < kRowBytes / kStepBytes; ++step) {
    Wgmma<typename Tile::Codes, Tile::kPartColumns>::multiply(sums, describe(shared.a[stage][row], step),
                                                              describe(shared.b[stage][column], step), accumulate || step > 0);
  }
}

/// sums = the products of `n_blocks` stages.  A stage is released when the products of the next have begun.
template <class Tile>
__device__ __forceinline__ void sum_products(SharedTiles<Tile>& shared, StageCursor<Tile::kStages>& cursor, std::uint32_t n_blocks,
                                             int group, typename Tile::Sum (&sums)[Tile::kParts][Tile::kPartSums]) {
  std::uint32_t before = 0;
  for (std::uint32_t block = 0; block < n_blocks; ++block) {
    shared.full[cursor.stage].wait(cursor.parity);
    begin_products();
#pragma unroll
    for (int part = 0; part < Tile::kParts; ++part) multiply(shared, cursor.stage, group, part, sums[part], block > 0);
    end_products();
    if (block > 0) {
      wait_for_products<1>();
      release(shared, before);
    }
    before = cursor.stage;
    cursor.advance();
  }
  wait_for_products<0>();
#pragma unroll
  for (int part = 0; part < Tile::kParts; ++part) pin(sums[part]);
  release(shared, before);
}

}  // namespace halftone::cuda::matmul
