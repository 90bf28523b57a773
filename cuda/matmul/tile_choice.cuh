#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "matmul/gemm_launch.cuh"

namespace halftone::cuda::matmul {

/// About how many cycles a multiprocessor needs for its share of a product.  The constants, here and in `Scaling`, make the
/// ranks of tiles those that were measured on an H100; they are no promise.
template <class Tile, class Scaling>
[[nodiscard]] double cycles(const MatmulShape& shape, std::uint32_t at_once) {
  constexpr double kBytesPerCycle = 44;   // that reach a multiprocessor from the cache
  constexpr double kCyclesAround = 2500;  // before the first stage of a tile, and for storing it
  const double rounds = divide_up(order_of<Tile>(shape, at_once).count(), at_once / Tile::kCluster);
  const double fetching = (rows_of_x<Tile>(shape) + Tile::kColumns) * kRowBytes / kBytesPerCycle;
  const double multiplying = Scaling::kCyclesPerStage + Tile::kRows * Tile::kColumns * kRowBytes / Scaling::kProductsPerCycle;
  return rounds * (kCyclesAround + divide_up(shape.k, kRowBytes) * std::max(fetching, multiplying));
}

/// The place in `Tiles` of the tile that is estimated to be the fastest: a choice by the shape and the device alone.
template <template <class> class Scaling, class... Tiles>
[[nodiscard]] std::size_t fastest(const MatmulShape& shape, std::uint32_t at_once) {
  const std::array<double, sizeof...(Tiles)> estimates = {cycles<Tiles, Scaling<Tiles>>(shape, at_once)...};
  return static_cast<std::size_t>(std::min_element(estimates.begin(), estimates.end()) - estimates.begin());
}

/// Launches with that tile.
template <template <class> class Scaling, class... Tiles, class Arguments>
void launch_fastest(const GemmMatrices& matrices, const Arguments& arguments, cudaStream_t stream) {
  const std::size_t best = fastest<Scaling, Tiles...>(matrices.shape, multiprocessors());
  std::size_t place = 0;
  ((place++ == best ? launch_gemm<Tiles, Scaling<Tiles>>(matrices, arguments, stream) : void()), ...);
}

}  // namespace halftone::cuda::matmul
