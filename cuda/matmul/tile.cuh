#pragma once

#include "matmul/barrier.cuh"
#include "matmul/wgmma.cuh"

namespace halftone::cuda::matmul {

/// The part of y that a block computes at a time, and how.  Two groups of 128 threads have kGroupRows_ rows each, in parts
/// of 64 rows and kPartColumns_ columns, the sums of which one instruction adds to.
template <class Codes_, int kGroupRows_, int kColumns_, int kPartColumns_, int kStages_>
struct Tile {
  using Codes = Codes_;
  using Sum = typename Codes::Sum;
  static constexpr int kGroups = 2;
  static constexpr int kGroupRows = kGroupRows_;
  static constexpr int kRows = kGroups * kGroupRows;
  static constexpr int kColumns = kColumns_;
  static constexpr int kPartColumns = kPartColumns_;
  static constexpr int kStages = kStages_;

  static constexpr int kPartsDown = kGroupRows / 64;
  static constexpr int kPartsAcross = kColumns / kPartColumns;
  static constexpr int kParts = kPartsDown * kPartsAcross;
  static constexpr int kPartSums = kPartColumns / 2;  ///< of a thread

  static constexpr int kGroupThreads = 128;
  static constexpr int kThreads = (kGroups + 1) * kGroupThreads;  ///< the last group fetches
  /// Registers of a thread that fetches, and of one that multiplies: together those of as many threads with 168.
  static constexpr int kFetchingRegisters = 40;
  static constexpr int kMultiplyingRegisters = 232;

  static_assert(kGroupRows % 64 == 0 && kColumns % kPartColumns == 0);
  static_assert(kRows <= 256 && kColumns <= 256, "a copy fetches at most 256 rows");
};

/// Columns of y that a warp stores at a time: rows of 128 bytes.
inline constexpr int kStoreColumns = 64;
/// Rows of a part that a warp has.
inline constexpr int kStripRows = 16;
/// Elements of y on their way.
using Strip = std::uint16_t[kStripRows][kStoreColumns];

/// Shared memory of a block.
template <class Tile>
struct alignas(1024) SharedTiles {
  std::uint8_t a[Tile::kStages][Tile::kRows][kRowBytes];
  std::uint8_t b[Tile::kStages][Tile::kColumns][kRowBytes];
  Strip strips[Tile::kGroups * Tile::kGroupThreads / 32];  ///< of warps
  float factors[Tile::kGroups][Tile::kColumns];            ///< of columns
  float bias[Tile::kGroups][Tile::kColumns];
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
