#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "matmul/gemm_launch.cuh"

namespace halftone::cuda::matmul {

/// About how many cycles a multiprocessor needs for its share of a product.  The constants are what ranks the tiles as
/// measurements do; they are no promise.
template <class Tile>
[[nodiscard]] double cycles(const MatmulShape& shape, std::uint32_t at_once) {
  constexpr double kProductsPerCycle = 2900;  // of codes, of a multiprocessor
  constexpr double kBytesPerCycle = 44;       // that reach one from the cache
  constexpr double kCyclesAround = 2500;      // before the first stage of a tile, and for storing it
  const double fetched = (rows_of_x<Tile>(shape) + Tile::kColumns) * kRowBytes;
  constexpr double kMultiplied = 1.0 * Tile::kRows * Tile::kColumns * kRowBytes;
  const std::uint32_t tiles = order_of<Tile>(shape, at_once).count();
  const double rounds = divide_up(tiles, at_once);
  return rounds * (kCyclesAround + divide_up(shape.k, kRowBytes) * std::max(fetched / kBytesPerCycle, kMultiplied / kProductsPerCycle));
}

/// Launches with the tile of `Tiles` that is estimated to be the fastest: a choice by the shape and the device alone.
template <template <class> class Scaling, class... Tiles, class Arguments>
void launch_fastest(const GemmMatrices& matrices, const Arguments& arguments, cudaStream_t stream) {
  const std::uint32_t at_once = multiprocessors();
  const std::array<double, sizeof...(Tiles)> estimates = {cycles<Tiles>(matrices.shape, at_once)...};
  const auto best = static_cast<std::size_t>(std::min_element(estimates.begin(), estimates.end()) - estimates.begin());
  std::size_t index = 0;
  ((index++ == best ? launch_gemm<Tiles, Scaling<Tiles>>(matrices, arguments, stream) : void()), ...);
}

}  // namespace halftone::cuda::matmul
