#pragma once

#include "matmul/fetch.cuh"
#include "matmul/split_sums.cuh"
#include "matmul/store.cuh"
#include "matmul/tile_order.cuh"
#include "runtime/dependent_launch.cuh"

namespace halftone::cuda::matmul {

/// A product as its kernel sees it.
template <class Arguments>
struct GemmWork {
  TileOrder order;
  std::uint32_t m;
  std::uint32_t n;
  std::uint32_t rows_of_x;  ///< that a fetch brings: no more than a tile has or x has, in eights
  std::uint32_t n_blocks;   ///< stages of a tile: ceil(k / kRowBytes)
  std::uint16_t* y;
  bool in_vectors;  ///< rows of y are aligned to 16 bytes
  Arguments arguments;
};

/// y = x Wᵀ with the scales of `Scaling`.  As many blocks as run at once; each cluster of them takes every so many-th column of
/// Tile::kSharing tiles.
template <class Tile, class Scaling>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kAtOnce)
    gemm_kernel(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,
                const __grid_constant__ GemmWork<typename Scaling::Arguments> work) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(1024) std::uint8_t memory[];
  auto& shared = *reinterpret_cast<SharedTiles<Tile>*>(memory);
  // Read from one lane, so that the compiler knows it to be the same in a warp.
  const int group = __shfl_sync(~0U, static_cast<int>(threadIdx.x) / Tile::kGroupThreads, 0);
  if (threadIdx.x == 0) {
    for (Barrier& full : shared.full) full.initialise(1);
    for (Barrier& empty : shared.empty) empty.initialise(Tile::kSharing * Tile::kGroups * Tile::kGroupThreads / 32);
    if constexpr (Tile::kSplit > 1) expect_sums<Tile>(shared.split);
    publish_barriers();
  }
  const std::uint32_t rank = Tile::kCluster == 1 ? 0 : rank_in_cluster();
  if constexpr (Tile::kCluster == 1) {
    __syncthreads();
  } else {
    sync_cluster();
  }
  wait_for_kernel_before();

  const std::uint32_t below = Tile::kSharing == 1 ? 0 : rank;
  const StageRange stages = Tile::kSplit == 1 ? StageRange{0, work.n_blocks} : StageRange::part(work.n_blocks, rank, Tile::kSplit);
  const std::uint32_t from = blockIdx.x / Tile::kCluster;
  const std::uint32_t step = gridDim.x / Tile::kCluster;
  StageCursor<Tile::kStages> cursor;
  if (group == Tile::kGroups) {
    if constexpr (Tile::kMovesRegisters) asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Tile::kFetchingRegisters));
    if (threadIdx.x == Tile::kGroups * Tile::kGroupThreads) {
      prefetch_map(a);
      prefetch_map(b);
      for (std::uint32_t index = from; index < work.order.count(); index += step) {
        const auto place = work.order.place(index);
        fetch_tile(shared, cursor, a, b, work.rows_of_x, (place.row * Tile::kSharing + below) * Tile::kRows, place.column * Tile::kColumns,
                   stages, below);
      }
    }
  } else {
    if constexpr (Tile::kMovesRegisters) asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Tile::kMultiplyingRegisters));
    StripWriter writer(shared.strips[threadIdx.x / 32]);
    for (std::uint32_t index = from; index < work.order.count(); index += step) {
      const auto place = work.order.place(index);
      const OutputTile out{
          work.y, work.m, work.n, (place.row * Tile::kSharing + below) * Tile::kRows, place.column * Tile::kColumns, work.in_vectors};
      Scaling::run(work.arguments, shared, cursor, writer, out, stages, group);
    }
  }
  if constexpr (Tile::kSharing > 1) sync_cluster();  // others may still send to this block, or arrive at its barriers
#else
  __trap();  // the host launches nothing that was compiled for another architecture
#endif
}

}  // namespace halftone::cuda::matmul
