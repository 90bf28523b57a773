#pragma once

#include <halftone/codec/hd.hpp>

#include <cstdint>

namespace halftone::cuda::matmul {

/// A grid of tiles, counted along a few rows of tiles at a time, so that the tiles that run at the same time share few rows of
/// either matrix and find them in the cache.
struct TileOrder {
  std::uint32_t rows;     ///< of tiles
  std::uint32_t columns;  ///< of tiles
  std::uint32_t band;     ///< rows of tiles that are counted together

  struct Place {
    std::uint32_t row;
    std::uint32_t column;
  };

  [[nodiscard]] HALFTONE_HD std::uint32_t count() const { return rows * columns; }

  [[nodiscard]] HALFTONE_HD Place place(std::uint32_t index) const {
    const std::uint32_t first = index / (band * columns) * band;
    const std::uint32_t height = rows - first < band ? rows - first : band;
    const std::uint32_t within = index - first * columns;
    return {first + within % height, within / height};
  }
};

}  // namespace halftone::cuda::matmul
