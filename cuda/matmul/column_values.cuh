#pragma once

#include "matmul/tile.cuh"

namespace halftone::cuda::matmul {

/// Values of the columns of a tile, read into registers by a group before its products, and put into shared memory after them.
template <class Tile>
class ColumnValues {
 public:
  /// `fallback` where there are no values, or none of their own for columns (`stride` 0: values[0]).
  __device__ __forceinline__ ColumnValues(const float* values, std::uint32_t stride, float fallback, std::uint32_t first, std::uint32_t n) {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const std::uint32_t column = first + place(i);
      held_[i] = values == nullptr || column >= n ? fallback : __ldg(values + static_cast<std::uint64_t>(column) * stride);
    }
  }

  __device__ __forceinline__ void put(float (&to)[Tile::kColumns]) const {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      if (place(i) < Tile::kColumns) to[place(i)] = held_[i];
    }
  }

 private:
  static constexpr int kEach = (Tile::kColumns + Tile::kGroupThreads - 1) / Tile::kGroupThreads;
  [[nodiscard]] __device__ static std::uint32_t place(int i) {
    return threadIdx.x % Tile::kGroupThreads + static_cast<std::uint32_t>(i) * Tile::kGroupThreads;
  }

  float held_[kEach];
};

}  // namespace halftone::cuda::matmul
