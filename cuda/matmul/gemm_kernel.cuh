#pragma once

#include "matmul/fetch.cuh"
#include "matmul/products.cuh"
#include "matmul/store.cuh"
#include "matmul/tile_order.cuh"

namespace halftone::cuda::matmul {

/// A product as its kernel sees it.
template <class Arguments>
struct GemmWork {
  TileOrder order;  ///< of the tiles of clusters
  std::uint32_t m;
  std::uint32_t n;
  std::uint32_t n_blocks;  ///< stages of a tile: ceil(k / kRowBytes)
  std::uint16_t* y;
  bool in_boxes;  ///< y can be stored by its map
  Arguments arguments;
};

/// Registers of a thread that fetches, and of one that multiplies; together those of 384 threads with 168.
inline constexpr int kFetchingRegisters = 40;
inline constexpr int kMultiplyingRegisters = 232;

/// First row of x and of W of tile `index` of this block.
template <class Tile>
__device__ __forceinline__ TileOrder::Place place_of(const TileOrder& order, std::uint32_t index) {
  TileOrder::Place place = order.place(index);
  if constexpr (Tile::kTogether == Together::a) place.column = place.column * 2 + rank_in_cluster();
  if constexpr (Tile::kTogether == Together::b) place.row = place.row * 2 + rank_in_cluster();
  return {place.row * Tile::kRows, place.column * Tile::kColumns};
}

/// y = x Wᵀ with the scales of `Scaling`.  As many blocks as run at once; each takes every so many-th tile.
template <class Tile, class Scaling>
__global__ void __launch_bounds__(Tile::kThreads, 1)
    gemm_kernel(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b, const __grid_constant__ CUtensorMap y,
                const __grid_constant__ GemmWork<typename Scaling::Arguments> work) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(1024) std::uint8_t memory[];
  auto& shared = *reinterpret_cast<SharedTiles<Tile>*>(memory);
  const int group = static_cast<int>(threadIdx.x) / Tile::kGroupThreads;
  if (threadIdx.x == 0) {
    for (Barrier& full : shared.full) full.initialise(1);
    for (Barrier& empty : shared.empty) empty.initialise(Tile::kGroups * 4 * Tile::kCluster);  // warps
    publish_barriers();
  }
  if constexpr (Tile::kCluster > 1) sync_cluster();
  __syncthreads();

  const std::uint32_t step = gridDim.x / Tile::kCluster;
  StageCursor<Tile::kStages> cursor;
  if (group == Tile::kGroups) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kFetchingRegisters));
    if (threadIdx.x == Tile::kGroups * Tile::kGroupThreads) {
      prefetch_map(a);
      prefetch_map(b);
      for (std::uint32_t index = blockIdx.x / Tile::kCluster; index < work.order.count(); index += step) {
        const auto place = place_of<Tile>(work.order, index);
        fetch_tile(shared, cursor, a, b, place.row, place.column, work.n_blocks);
      }
    }
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kMultiplyingRegisters));
    BoxWriter<Tile> writer(shared, group);
    if constexpr (Tile::kLag > 0) {
      if (group == 1) sync_group(kLagBarrier, Tile::kGroups * Tile::kGroupThreads);
    }
    for (std::uint32_t index = blockIdx.x / Tile::kCluster; index < work.order.count(); index += step) {
      const auto place = place_of<Tile>(work.order, index);
      const OutputTile out{work.in_boxes ? &y : nullptr, work.y, work.m, work.n, place.row, place.column};
      Scaling::run(work.arguments, shared, cursor, writer, out, work.n_blocks, group);
    }
    if constexpr (Tile::kLag > 0) {
      if (group == 0 && cursor.passed < Tile::kLag) arrive_group(kLagBarrier, Tile::kGroups * Tile::kGroupThreads);
    }
    writer.finish();
  }
  __syncwarp();
  // A block must not end while the other of its cluster may still write to it.
  if constexpr (Tile::kCluster > 1) sync_cluster();
#else
  __trap();  // the host launches nothing that was compiled for another architecture
#endif
}

}  // namespace halftone::cuda::matmul
