#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/checked.hpp"

namespace halftone::formats {

/// The layout of block scales that cuBLAS calls 1-D block scaling (torch: SWIZZLE_32_4_4): tiles of 128
/// rows × 4 columns, row-major; within a tile of 512 bytes 32 lines of 16, in each the four scales of the
/// rows r, r + 32, r + 64, r + 96.  One byte per scale.  Rows and columns are filled up with zero bytes.
class Swizzle {
 public:
  static constexpr std::uint64_t kRows = 128;
  static constexpr std::uint64_t kColumns = 4;

  explicit Swizzle(std::uint64_t columns) : tiles_across_(base::ceil_div(columns, kColumns)) {}

  /// Bytes of the tiles that hold `rows` rows.
  [[nodiscard]] std::uint64_t bytes(std::uint64_t rows) const noexcept {
    return base::ceil_div(rows, kRows) * tiles_across_ * kRows * kColumns;
  }
  /// Where the scale of (row, column) lies.
  [[nodiscard]] std::uint64_t offset(std::uint64_t row, std::uint64_t column) const noexcept {
    const std::uint64_t tile = row / kRows * tiles_across_ + column / kColumns;
    return tile * kRows * kColumns + row % 32 * 16 + row % kRows / 32 * 4 + column % kColumns;
  }

  /// `scales`, `columns` to a row, as tiles; begins with a tile.
  [[nodiscard]] std::vector<std::byte> tiled(std::span<const std::byte> scales, std::uint64_t columns) const {
    const std::uint64_t rows = columns == 0 ? 0 : scales.size() / columns;
    std::vector<std::byte> tiles(bytes(rows));
    for (std::uint64_t row = 0; row < rows; ++row) {
      for (std::uint64_t column = 0; column < columns; ++column) tiles[offset(row, column)] = scales[row * columns + column];
    }
    return tiles;
  }
  /// Rows [first, first + count) of `tiles`, `columns` to a row.
  [[nodiscard]] std::vector<std::byte> untiled(std::span<const std::byte> tiles, std::uint64_t columns, std::uint64_t first,
                                               std::uint64_t count) const {
    std::vector<std::byte> scales(count * columns);
    for (std::uint64_t row = 0; row < count; ++row) {
      for (std::uint64_t column = 0; column < columns; ++column) scales[row * columns + column] = tiles[offset(first + row, column)];
    }
    return scales;
  }

 private:
  std::uint64_t tiles_across_;
};

}  // namespace halftone::formats
