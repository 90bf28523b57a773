#include "linear/tiled_scales.hpp"

#include "formats/nvfp4/format.hpp"
#include "formats/swizzle.hpp"
#include "runtime/check.hpp"

namespace halftone::cuda {
namespace {

using Nvfp4 = formats::nvfp4::Format;
using formats::Swizzle;

constexpr unsigned kThreads = 256;

/// A thread to each byte of the tiles.
__global__ void __launch_bounds__(kThreads) tile_kernel(const std::uint8_t* __restrict__ scales, std::uint64_t rows, std::uint64_t columns,
                                                        std::uint64_t tiles_across, std::uint64_t n, std::uint8_t* __restrict__ tiles) {
  const std::uint64_t at = static_cast<std::uint64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= n) return;
  constexpr std::uint64_t tile_bytes = Swizzle::kRows * Swizzle::kColumns;
  const std::uint64_t tile = at / tile_bytes;
  const std::uint64_t within = at % tile_bytes;
  // The line of a tile has the scales of four rows, 32 apart.
  const std::uint64_t row = tile / tiles_across * Swizzle::kRows + within / 16 + within % 16 / 4 * 32;
  const std::uint64_t column = tile % tiles_across * Swizzle::kColumns + within % 4;
  tiles[at] = row < rows && column < columns ? scales[row * columns + column] : std::uint8_t{0};
}

__global__ void tensor_factor_kernel(WholeScale whole, const float* weight_scale, std::uint32_t* amax, float* factor) {
  // What the scale of the whole is made from by a division.
  constexpr float codes_range = 2688.0F;
  const float measured = whole.measured == nullptr ? whole.given * codes_range : codec::from_bits(*whole.measured);
  const float used = measured == 0.0F ? codes_range : measured;  // inputs of zeros have a scale of 1
  *amax = codec::bits(used);
  factor[0] = Nvfp4::tensor_scale(used) * *weight_scale;
  factor[1] = 0.0F;
}

}  // namespace

void launch_tiled(const std::uint8_t* scales, std::uint64_t rows, std::uint64_t columns, std::uint8_t* tiles, cudaStream_t stream) {
  const std::uint64_t n = Swizzle(columns).bytes(rows);
  if (n == 0) return;
  const std::uint64_t across = (columns + Swizzle::kColumns - 1) / Swizzle::kColumns;
  tile_kernel<<<static_cast<unsigned>((n + kThreads - 1) / kThreads), kThreads, 0, stream>>>(scales, rows, columns, across, n, tiles);
  check_launch("start a kernel that tiles scales");
}

void launch_tensor_factor(const WholeScale& whole, const float* weight_scale, std::uint32_t* amax, float* factor, cudaStream_t stream) {
  tensor_factor_kernel<<<1, 1, 0, stream>>>(whole, weight_scale, amax, factor);
  check_launch("start a kernel that multiplies scales");
}

}  // namespace halftone::cuda
