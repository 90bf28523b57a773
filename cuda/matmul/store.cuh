#pragma once

// The way of finished sums to y: rounded to BF16, put together in shared memory, and stored as boxes.

#include "matmul/tile.cuh"
#include "matmul/tma.cuh"

namespace halftone::cuda::matmul {

/// y, and where a tile lies in it.
struct OutputTile {
  const CUtensorMap* matrix;  ///< null where rows of y are not aligned to 16 bytes
  std::uint16_t* y;
  std::uint32_t m;
  std::uint32_t n;
  std::uint32_t row;
  std::uint32_t column;
};

/// Two floats as BF16, the first in the low half.
__device__ __forceinline__ std::uint32_t to_bf16_pair(float first, float second) {
  std::uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  return pair;
}

/// Stores four matrices of 8 x 8 elements, of which each thread has two of each; thread t names row t % 8 of matrix t / 8.
__device__ __forceinline__ void store_matrices(std::uint32_t row, const std::uint32_t (&pairs)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(row), "r"(pairs[0]), "r"(pairs[1]), "r"(pairs[2]),
               "r"(pairs[3])
               : "memory");
}

/// Stores a box of kStoreRows x kStoreColumns of a group; `pairs` as the sums of a part lie in its threads.
template <class Tile>
class BoxWriter {
 public:
  __device__ BoxWriter(SharedTiles<Tile>& shared, int group) : shared_(shared), group_(group), thread_(threadIdx.x % Tile::kGroupThreads) {}

  __device__ void write(const OutputTile& out, std::uint32_t row, std::uint32_t column,
                        const std::uint32_t (&pairs)[kStoreColumns / 8][2]) {
    if (out.matrix == nullptr) {
      write_singly(out, row, column, pairs);
      return;
    }
    auto& box = shared_.y[group_][next_];
    next_ = (next_ + 1) % kStoreBoxes;
    if (thread_ == 0) wait_for_stores<kStoreBoxes - 1>();
    sync_group(static_cast<std::uint32_t>(group_) + 1, Tile::kGroupThreads);
    // Rows of 64 bytes under the 64-byte swizzle: the number of a vector of 16 bytes changes with bits 1 and 2 of its row.
    const std::uint32_t in_box = thread_ / 32 * 16 + thread_ % 16;
    const std::uint32_t base = shared_address(&box) + in_box * sizeof(box[0]);
#pragma unroll
    for (std::uint32_t half = 0; half < 2; ++half) {
      const std::uint32_t vector = half * 2 + thread_ % 32 / 16;
      const std::uint32_t four[4] = {pairs[half * 2][0], pairs[half * 2][1], pairs[half * 2 + 1][0], pairs[half * 2 + 1][1]};
      store_matrices(base + (vector ^ (in_box >> 1 & 3)) * 16, four);
    }
    publish_box();
    sync_group(static_cast<std::uint32_t>(group_) + 1, Tile::kGroupThreads);
    if (thread_ != 0) return;
    if (row < out.m && column < out.n) store_box(*out.matrix, &box, column, row);
    end_store();
  }

  /// Until y may be read by what follows the kernel, and shared memory may be given back.
  __device__ void finish() {
    if (thread_ == 0) wait_for_stores<0>();
  }

 private:
  __device__ void write_singly(const OutputTile& out, std::uint32_t row, std::uint32_t column,
                               const std::uint32_t (&pairs)[kStoreColumns / 8][2]) {
#pragma unroll
    for (std::uint32_t i = 0; i < kStoreColumns / 8 * 4; ++i) {
      const std::uint32_t at_row = row + thread_ / 32 * 16 + thread_ % 32 / 4 + i % 4 / 2 * 8;
      const std::uint32_t at_column = column + i / 4 * 8 + thread_ % 4 * 2 + i % 2;
      if (at_row < out.m && at_column < out.n) {
        out.y[static_cast<std::uint64_t>(at_row) * out.n + at_column] = static_cast<std::uint16_t>(pairs[i / 4][i % 4 / 2] >> i % 2 * 16);
      }
    }
  }

  SharedTiles<Tile>& shared_;
  int group_;
  std::uint32_t thread_;
  int next_ = 0;
};

/// Stores the tile of a group.  value(part, down, sum, column) is what `sum` becomes: `down` says whether it is in the first or
/// the second row of the thread, `column` its column in the tile.
template <class Tile, class Sum, class Value>
__device__ __forceinline__ void store_tile(BoxWriter<Tile>& writer, const OutputTile& out, int group,
                                           const Sum (&sums)[Tile::kParts][Tile::kPartSums], const Value& value) {
#pragma unroll
  for (int part = 0; part < Tile::kParts; ++part) {
    const int row = group * Tile::kGroupRows + part / Tile::kPartsAcross * 64;
#pragma unroll
    for (int from = 0; from < Tile::kPartColumns; from += kStoreColumns) {
      const int column = part % Tile::kPartsAcross * Tile::kPartColumns + from;
      std::uint32_t pairs[kStoreColumns / 8][2];
#pragma unroll
      for (int i = 0; i < kStoreColumns / 8; ++i) {
        const int at = column + i * 8 + static_cast<int>(threadIdx.x % 4) * 2;
        const Sum* four = &sums[part][from / 2 + i * 4];
        pairs[i][0] = to_bf16_pair(value(part, 0, four[0], at), value(part, 0, four[1], at + 1));
        pairs[i][1] = to_bf16_pair(value(part, 1, four[2], at), value(part, 1, four[3], at + 1));
      }
      writer.write(out, out.row + static_cast<std::uint32_t>(row), out.column + static_cast<std::uint32_t>(column), pairs);
    }
  }
}

}  // namespace halftone::cuda::matmul
