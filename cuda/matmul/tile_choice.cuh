#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "matmul/gemm_launch.cuh"

namespace halftone::cuda::matmul {

/// About how many cycles a multiprocessor needs for its share of a product.  The constants, here and in `Scaling`, make the
/// ranks of tiles those that were measured on an H100; they are no promise.
template <class Tile, class Scaling>
[[nodiscard]] double cycles(const MatmulShape& shape, std::uint32_t at_once) {
  constexpr double kBytesPerCycle = 44;      // that reach a multiprocessor from the cache where all of them fetch
  constexpr double kMostBytesPerCycle = 64;  // where few do
  constexpr double kCyclesToFetch = 1450;    // from the demand for a stage to its arrival
  constexpr double kCyclesAround = 2500;     // before the first stage of a tile, and for storing it
  constexpr double kExchange = Tile::kSplit > 1 ? 6000 : 0;
  constexpr double kWaiting = Tile::kSharing > 1 ? 600 : 0;  // of blocks for each other
  constexpr double kSaved = Tile::kSharing > 1 ? 0.98 : 1;   // power, and so clock, where a stage is read once for two
  const double room = at_once * Tile::kAtOnce;
  const double blocks = static_cast<double>(order_of<Tile>(shape, at_once).count()) * Tile::kCluster;
  const double rounds = std::ceil(blocks / room);
  const double bytes_per_cycle = std::min(kMostBytesPerCycle, kBytesPerCycle * at_once / std::min(blocks, room));
  const double bytes = (rows_of_x<Tile>(shape) + static_cast<double>(Tile::kColumns) / Tile::kSharing) * kRowBytes;
  const double fetching = std::max(bytes / bytes_per_cycle, kCyclesToFetch / Tile::kStages);
  const double together = std::max(1.0, std::min(blocks, room) / at_once);  // blocks of a multiprocessor
  const double multiplying = together * (Scaling::kCyclesPerStage + Tile::kRows * Tile::kColumns * kRowBytes / Scaling::kProductsPerCycle);
  const double stages = divide_up(divide_up(shape.k, kRowBytes), Tile::kSplit);
  return rounds * (kCyclesAround + kExchange + kWaiting + stages * kSaved * std::max(fetching, multiplying));
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
