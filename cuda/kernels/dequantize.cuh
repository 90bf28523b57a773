#pragma once

#include <halftone/format.hpp>

#include "kernels/access.cuh"
#include "kernels/groups.cuh"
#include "runtime/check.hpp"

namespace halftone::cuda {

constexpr unsigned kDequantizeThreads = 256;

/// One chunk of codes for each thread, `blocks_across` blocks for each row; `width` of the groups is
/// a multiple of Width, or Width is 1.
template <class Format, class Target, int Width>
__global__ void __launch_bounds__(kDequantizeThreads)
    dequantize_kernel(const std::uint8_t* __restrict__ codes, Groups groups, unsigned blocks_across, const float* __restrict__ scales,
                      typename Target::Raw* __restrict__ out) {
  const unsigned row = blockIdx.x / blocks_across;
  const std::uint64_t column = (static_cast<std::uint64_t>(blockIdx.x % blocks_across) * blockDim.x + threadIdx.x) * Width;
  if (column >= groups.columns) return;
  float scale = 1.0F;
  if constexpr (Format::kGrid == ScaleGrid::tensor) scale = scales[0];
  if constexpr (Format::kGrid == ScaleGrid::row) scale = scales[row];
  if constexpr (Format::kGrid == ScaleGrid::block) {
    // The width of a block fits 32 bits, and so does a row of any weight with blocks.
    const unsigned block = static_cast<unsigned>(column) / static_cast<unsigned>(groups.width);
    scale = scales[static_cast<std::uint64_t>(row / groups.height) * groups.across + block];
  }
  const std::uint64_t first = row * groups.columns + column;
  const auto loaded = load_chunk<std::uint8_t, Width>(codes + first);
  Chunk<typename Target::Raw, Width> made;
#pragma unroll
  for (int i = 0; i < Width; ++i) made.items[i] = Target::encode(Format::decode(loaded.items[i], scale));
  store_chunk<typename Target::Raw, Width>(out + first, made);
}

template <class Format, class Target, int Width>
bool launch_dequantize_of_width(const std::uint8_t* codes, const Groups& groups, const float* scales, typename Target::Raw* out,
                                cudaStream_t stream) {
  if (!rows_align<std::uint8_t, typename Target::Raw>(codes, out, groups.columns, Width) || groups.width % Width != 0) return false;
  const std::uint64_t across = groups.columns / Width;
  const auto threads = static_cast<unsigned>(across < kDequantizeThreads ? (across + 31) / 32 * 32 : kDequantizeThreads);
  const auto blocks_across = static_cast<unsigned>((across + threads - 1) / threads);
  const auto blocks = static_cast<unsigned>(groups.rows * blocks_across);
  dequantize_kernel<Format, Target, Width><<<blocks, threads, 0, stream>>>(codes, groups, blocks_across, scales, out);
  return true;
}

/// The values of `codes`, rounded to Target.
template <class Format, class Target>
void launch_dequantize(const std::uint8_t* codes, const Groups& groups, const float* scales, typename Target::Raw* out,
                       cudaStream_t stream) {
  if (groups.rows == 0 || groups.columns == 0) return;
  constexpr int width = kVectorElements<typename Target::Raw>;
  if (!launch_dequantize_of_width<Format, Target, width>(codes, groups, scales, out, stream)) {
    launch_dequantize_of_width<Format, Target, 1>(codes, groups, scales, out, stream);
  }
  check_launch("start a dequantization kernel");
}

}  // namespace halftone::cuda
