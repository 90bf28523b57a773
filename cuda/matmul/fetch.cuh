#pragma once

// The group that fetches: tiles of both matrices, stage by stage, ahead of the groups that multiply.

#include "matmul/tile.cuh"
#include "matmul/tma.cuh"

namespace halftone::cuda::matmul {

/// Fetches the tiles, of rows_of_a and Tile::kColumns rows, whose first rows are row_a and row_b, stage by stage.  The tile of
/// b comes in equal shares from the blocks that share it, of which this is block `rank`.  Of one thread.
template <class Tile>
__device__ __forceinline__ void fetch_tile(SharedTiles<Tile>& shared, StageCursor<Tile::kStages>& cursor, const CUtensorMap& a,
                                           const CUtensorMap& b, std::uint32_t rows_of_a, std::uint32_t row_a, std::uint32_t row_b,
                                           StageRange stages, std::uint32_t rank) {
  const std::uint32_t n_bytes = (rows_of_a + Tile::kColumns) * kRowBytes;
  for (std::uint32_t block = stages.first; block < stages.last; ++block) {
    const std::uint32_t stage = cursor.stage;
    const std::uint32_t column = block * kRowBytes;
    Barrier& full = shared.full[stage];
    shared.empty[stage].wait(cursor.parity ^ 1);
    full.arrive_expecting(n_bytes);
    load_box(a, shared.a[stage], full, column, row_a);
    if constexpr (Tile::kSharing == 1) {
      load_box(b, shared.b[stage], full, column, row_b);
    } else {
      constexpr std::uint32_t kShare = Tile::kColumns / Tile::kSharing;
      constexpr std::uint16_t kAll = (1U << Tile::kSharing) - 1;
      load_box_to(kAll, b, shared.b[stage][rank * kShare], full, column, row_b + rank * kShare);
    }
    cursor.advance();
  }
}

}  // namespace halftone::cuda::matmul
