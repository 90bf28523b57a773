#pragma once

// The group that fetches: tiles of both matrices, stage by stage, ahead of the groups that multiply.

#include "matmul/tile.cuh"
#include "matmul/tma.cuh"

namespace halftone::cuda::matmul {

/// Fetches the tiles, of rows_of_a and Tile::kColumns rows, whose first rows are row_a and row_b, `n_blocks` stages.  Of one thread.
template <class Tile>
__device__ __forceinline__ void fetch_tile(SharedTiles<Tile>& shared, StageCursor<Tile::kStages>& cursor, const CUtensorMap& a,
                                           const CUtensorMap& b, std::uint32_t rows_of_a, std::uint32_t row_a, std::uint32_t row_b,
                                           std::uint32_t n_blocks) {
  const std::uint32_t n_bytes = (rows_of_a + Tile::kColumns) * kRowBytes;
  for (std::uint32_t block = 0; block < n_blocks; ++block) {
    const std::uint32_t stage = cursor.stage;
    const std::uint32_t column = block * kRowBytes;
    Barrier& full = shared.full[stage];
    shared.empty[stage].wait(cursor.parity ^ 1);
    full.arrive_expecting(n_bytes);
    load_box(a, shared.a[stage], full, column, row_a);
    load_box(b, shared.b[stage], full, column, row_b);
    cursor.advance();
  }
}

}  // namespace halftone::cuda::matmul
