#pragma once

#include <halftone/format.hpp>

#include "kernels/access.cuh"
#include "kernels/groups.cuh"
#include "runtime/check.hpp"

namespace halftone::cuda {

constexpr unsigned kDequantizeThreads = 256;

/// One chunk of codes for each thread; `width` of the groups is a multiple of Width, or Width is 1.
template <class Format, class Target, int Width>
__global__ void __launch_bounds__(kDequantizeThreads)
    dequantize_kernel(const std::uint8_t* __restrict__ codes, Groups groups, const float* __restrict__ scales,
                      typename Target::Raw* __restrict__ out) {
  const std::uint64_t chunk = static_cast<std::uint64_t>(blockIdx.x) * kDequantizeThreads + threadIdx.x;
  const std::uint64_t first = chunk * Width;
  if (first >= groups.rows * groups.columns) return;
  float scale = 1.0F;
  if constexpr (Format::kGrid == ScaleGrid::tensor) scale = scales[0];
  if constexpr (Format::kGrid == ScaleGrid::row) scale = scales[first / groups.columns];
  if constexpr (Format::kGrid == ScaleGrid::block) {
    const std::uint64_t row = first / groups.columns;
    const std::uint64_t column = first - row * groups.columns;
    scale = scales[row / groups.height * groups.across() + column / groups.width];
  }
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
  const std::uint64_t chunks = groups.rows * groups.columns / Width;
  const std::uint64_t blocks = (chunks + kDequantizeThreads - 1) / kDequantizeThreads;
  dequantize_kernel<Format, Target, Width><<<static_cast<unsigned>(blocks), kDequantizeThreads, 0, stream>>>(codes, groups, scales, out);
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
