#pragma once

#include <type_traits>

#include "matmul/barrier.cuh"
#include "matmul/wgmma.cuh"

namespace halftone::cuda::matmul {

/// Sizes of a tile: the part of y that a block computes at a time, and how.
struct TileSizes {
  int groups = 2;       ///< of 128 threads, which have rows below each other
  int group_rows = 64;  ///< rows of a group, in parts of 64
  int columns;
  int part_columns = 0;  ///< of a part, the sums of which one instruction adds to; 0: all
  int stages;            ///< of 128 bytes of k that are fetched ahead
  int sharing = 1;       ///< blocks of a cluster, with tiles below each other, of which each fetches its share of W for all
  int split = 1;         ///< blocks of a cluster with the same tile, of which each has a part of k
};

template <class Codes_, TileSizes kSizes>
struct Tile {
  using Codes = Codes_;
  using Sum = typename Codes::Sum;
  static constexpr int kGroups = kSizes.groups;
  static constexpr int kGroupRows = kSizes.group_rows;
  static constexpr int kRows = kGroups * kGroupRows;
  static constexpr int kColumns = kSizes.columns;
  static constexpr int kPartColumns = kSizes.part_columns == 0 ? kColumns : kSizes.part_columns;
  static constexpr int kStages = kSizes.stages;
  static constexpr int kSharing = kSizes.sharing;
  static constexpr int kSplit = kSizes.split;
  static constexpr int kCluster = kSharing * kSplit;

  static constexpr int kPartsDown = kGroupRows / 64;
  static constexpr int kPartsAcross = kColumns / kPartColumns;
  static constexpr int kParts = kPartsDown * kPartsAcross;
  static constexpr int kPartSums = kPartColumns / 2;  ///< of a thread

  static constexpr int kGroupThreads = 128;
  static constexpr int kThreads = (kGroups + 1) * kGroupThreads;  ///< the last group fetches
  /// Blocks of a multiprocessor.
  static constexpr int kAtOnce = kGroups == 1 ? 2 : 1;
  /// Registers of a thread that fetches, and of one that multiplies, of two groups that do: together those of as many threads
  /// with 168.
  static constexpr bool kMovesRegisters = kGroups == 2;
  static constexpr int kFetchingRegisters = 40;
  static constexpr int kMultiplyingRegisters = 232;

  static_assert(kGroupRows % 64 == 0 && kColumns % kPartColumns == 0);
  static_assert(kColumns % (8 * kSharing) == 0, "the copy engine swizzles eight rows together");
  static_assert(kSharing == 1 || kSplit == 1);
  static_assert(kRows <= 256 && kColumns <= 256, "a copy fetches at most 256 rows");
};

/// Columns of y that a warp stores at a time: rows of 128 bytes.
inline constexpr int kStoreColumns = 64;
/// Rows of a part that a warp has.
inline constexpr int kStripRows = 16;
/// Elements of y on their way.
using Strip = std::uint16_t[kStripRows][kStoreColumns];

/// Where the blocks of a cluster put sums of the same tile, each of which then adds up some.
template <class Tile>
struct SplitSums {
  static constexpr int kEach = Tile::kParts * Tile::kPartSums / Tile::kSplit;  ///< sums of a thread that a block adds up
  static constexpr int kThreads = Tile::kGroups * Tile::kGroupThreads;
  static_assert(kEach % 4 == 0 && Tile::kParts == 1, "two neighbours in two rows");

  /// Of the other blocks: four sums side by side.
  uint4 of[Tile::kSplit][kEach / 4][kThreads];
  Barrier arrived;
  static constexpr std::uint32_t kBytes = (Tile::kSplit - 1) * kEach * kThreads * sizeof(std::uint32_t);
};
struct NoSums {};

/// Shared memory of a block.
template <class Tile>
struct alignas(1024) SharedTiles {
  std::uint8_t a[Tile::kStages][Tile::kRows][kRowBytes];
  std::uint8_t b[Tile::kStages][Tile::kColumns][kRowBytes];
  Strip strips[Tile::kGroups * Tile::kGroupThreads / 32];  ///< of warps
  float factors[Tile::kGroups][Tile::kColumns];            ///< of columns
  float bias[Tile::kGroups][Tile::kColumns];
  [[no_unique_address]] std::conditional_t<(Tile::kSplit > 1), SplitSums<Tile>, NoSums> split;
  Barrier full[Tile::kStages];   ///< a stage has been fetched
  Barrier empty[Tile::kStages];  ///< every warp is through with a stage
};

/// Row, in a tile, of which a thread of group `group` has sums: the i-th of Tile::kPartsDown * 2.
template <class Tile>
[[nodiscard]] __device__ __forceinline__ std::uint32_t row_of_thread(int group, int i) {
  return static_cast<std::uint32_t>(group * Tile::kGroupRows + i / 2 * 64 + i % 2 * 8) + threadIdx.x % Tile::kGroupThreads / 32 * 16 +
         threadIdx.x % 32 / 4;
}

/// Waits for the threads of group `group`, which all call it.
template <class Tile>
__device__ __forceinline__ void sync_threads_of(int group) {
  constexpr std::uint32_t kFirst = 1;  // 0 is that of the whole block
  sync_group(kFirst + static_cast<std::uint32_t>(group), Tile::kGroupThreads);
}

/// Stages of a row that a block has.
struct StageRange {
  std::uint32_t first;
  std::uint32_t last;

  [[nodiscard]] __device__ static StageRange part(std::uint32_t n, std::uint32_t i, std::uint32_t parts) {
    return {n * i / parts, n * (i + 1) / parts};
  }
  [[nodiscard]] __device__ std::uint32_t count() const { return last - first; }
};

/// Goes through the stages in turn, with the parity of the phase of their barriers.
template <int kStages>
struct StageCursor {
  std::uint32_t stage = 0;
  std::uint32_t parity = 0;

  __device__ void advance() {
    if (++stage < kStages) return;
    stage = 0;
    parity ^= 1;
  }
};

}  // namespace halftone::cuda::matmul
