#pragma once

// The way of finished sums to y: rounded to BF16, turned into whole rows by each warp in its part of shared memory, and stored.

#include "matmul/tile.cuh"

namespace halftone::cuda::matmul {

/// y, and where a tile lies in it.
struct OutputTile {
  std::uint16_t* y;
  std::uint32_t m;
  std::uint32_t n;
  std::uint32_t row;
  std::uint32_t column;
  bool in_vectors;  ///< rows of y are aligned to 16 bytes
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

/// Stores what a warp has of a part, kStoreColumns columns of its 16 rows at a time.
class StripWriter {
 public:
  /// Pairs of elements as the sums of a part lie in the threads.
  using Pairs = std::uint32_t[kStoreColumns / 8][2];

  /// `strip`: shared memory of this warp alone.
  __device__ explicit StripWriter(Strip& strip) : strip_(strip) {}

  /// `row` and `column`: where in y the strip begins.
  __device__ void write(const OutputTile& out, std::uint32_t row, std::uint32_t column, const Pairs& pairs) {
    if (!out.in_vectors) return write_singly(out, row, column, pairs);
    __syncwarp();  // the strip before has been read
    put(pairs);
    __syncwarp();
#pragma unroll
    for (std::uint32_t i = 0; i < kStripRows * kRowVectors / 32; ++i) {
      const std::uint32_t at = i * 32 + lane();
      const std::uint32_t in_strip = at / kRowVectors;
      const std::uint32_t vector = at % kRowVectors;
      const uint4 whole = *reinterpret_cast<const uint4*>(&strip_[in_strip][place(in_strip, vector) * kVector]);
      const std::uint32_t to_row = row + in_strip;
      const std::uint32_t to_column = column + vector * kVector;
      if (to_row < out.m && to_column < out.n) *reinterpret_cast<uint4*>(out.y + std::uint64_t{to_row} * out.n + to_column) = whole;
    }
  }

 private:
  static constexpr std::uint32_t kVector = 8;  ///< elements of 16 bytes
  static constexpr std::uint32_t kRowVectors = kStoreColumns / kVector;
  static_assert(kRowVectors == 8);

  [[nodiscard]] __device__ static std::uint32_t lane() { return threadIdx.x % 32; }
  /// Vectors of a row change places with its number, so that those of a column are in different banks.
  [[nodiscard]] __device__ static std::uint32_t place(std::uint32_t row, std::uint32_t vector) { return vector ^ row % kRowVectors; }

  __device__ void put(const Pairs& pairs) {
    const std::uint32_t row = lane() % 16;
#pragma unroll
    for (std::uint32_t i = 0; i < kRowVectors; i += 2) {
      const std::uint32_t four[4] = {pairs[i][0], pairs[i][1], pairs[i + 1][0], pairs[i + 1][1]};
      store_matrices(shared_address(&strip_[row][place(row, i + lane() / 16) * kVector]), four);
    }
  }

  __device__ static void write_singly(const OutputTile& out, std::uint32_t row, std::uint32_t column, const Pairs& pairs) {
#pragma unroll
    for (std::uint32_t i = 0; i < kStoreColumns / 8 * 4; ++i) {
      const std::uint32_t to_row = row + lane() / 4 + i % 4 / 2 * 8;
      const std::uint32_t to_column = column + i / 4 * 8 + lane() % 4 * 2 + i % 2;
      if (to_row < out.m && to_column < out.n) {
        out.y[std::uint64_t{to_row} * out.n + to_column] = static_cast<std::uint16_t>(pairs[i / 4][i % 4 / 2] >> i % 2 * 16);
      }
    }
  }

  Strip& strip_;
};

/// Stores the part of a tile that group `group` has.  value(part, down, sum, column) is what `sum` becomes: `down` says whether
/// it is in the first or the second row of the thread, `column` its column in the tile.
template <class Tile, class Sum, class Value>
__device__ __forceinline__ void store_tile(StripWriter& writer, const OutputTile& out, int group,
                                           const Sum (&sums)[Tile::kParts][Tile::kPartSums], const Value& value) {
  const int warp_row = static_cast<int>(threadIdx.x) % Tile::kGroupThreads / 32 * kStripRows;
#pragma unroll
  for (int part = 0; part < Tile::kParts; ++part) {
    const int row = group * Tile::kGroupRows + part / Tile::kPartsAcross * 64 + warp_row;
#pragma unroll
    for (int from = 0; from < Tile::kPartColumns; from += kStoreColumns) {
      const int column = part % Tile::kPartsAcross * Tile::kPartColumns + from;
      StripWriter::Pairs pairs;
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
