#pragma once

// Fitted scales (formats::RowScaled) for groups of any size, and the way back.  A thread to a group, by the functions of
// the format alone.

#include <halftone/codec/hd.hpp>
#include <halftone/codec/integer.hpp>

#include "kernels/fitted_rows.cuh"

namespace halftone::cuda {

constexpr unsigned kFittedThreads = 256;

/// The squared error of a group of `n` weights, in units of the row's scale, as KernelTable::squared_error has it.
template <class Format>
[[nodiscard]] __device__ float group_error(const float* weights, std::uint32_t n, float row_scale, float scale) {
  float lanes[kLineElements] = {};
  for (std::uint32_t first = 0; first < n; first += kLineElements) {
#pragma unroll
    for (unsigned l = 0; l < kLineElements; ++l) {
      if (first + l >= n) continue;
      const float weight = weights[first + l] / row_scale;
      const float difference = Format::decode(static_cast<std::uint8_t>(Format::encode(weight, scale)), scale) - weight;
      lanes[l] += difference * difference;
    }
  }
  return sum_of_lanes(lanes);
}

/// A block to a row of weights that are rotated already.
template <class Format, bool Search>
__global__ void __launch_bounds__(kFittedThreads)
    fitted_groups_kernel(const float* __restrict__ in, std::uint64_t columns, std::uint32_t group_size, std::uint8_t* __restrict__ codes,
                         std::uint8_t* __restrict__ scales) {
  __shared__ std::uint32_t of_warps[kFittedThreads / 32];
  const std::uint64_t row = blockIdx.x;
  const std::uint64_t groups = columns / group_size;
  const float* from = in + row * columns;
  float largest = 0.0F;
  for (std::uint64_t g = threadIdx.x; g < groups; g += kFittedThreads) (void)Format::fit(from + g * group_size, group_size, largest);
  const float row_scale = Format::row_scale(codec::from_bits(max_over_row(codec::bits(largest), kFittedThreads, of_warps)));
  std::uint8_t* row_scales = scales + row * row_scale_bytes(groups);
  if (threadIdx.x == 0) store_row_scale(row_scales + groups, row_scale);
  for (std::uint64_t g = threadIdx.x; g < groups; g += kFittedThreads) {
    const float* weights = from + g * group_size;
    const float fitted = Format::fit(weights, group_size, largest) / row_scale;
    auto best = Format::scale_from_amax(fitted);
    if constexpr (Search) {
      float least = group_error<Format>(weights, group_size, row_scale, best.encode);
      for (int i = 1; i < formats::kCandidatesOf<Format>; ++i) {
        const auto scale = formats::candidate_scale<Format>(fitted, 1.0F, i);
        const float error = group_error<Format>(weights, group_size, row_scale, scale.encode);
        if (!(error < least)) continue;
        least = error;
        best = scale;
      }
    }
    row_scales[g] = best.stored;
    std::uint8_t* to = codes + code_bytes<Format>(row * columns + g * group_size);
    for (std::uint32_t i = 0; i < group_size; i += 2) {
      std::uint32_t made[2];
#pragma unroll
      for (unsigned k = 0; k < 2; ++k) made[k] = Format::encode(weights[i + k] / row_scale, best.encode);
      store_chunk(to + i / 2, packed<Format, 2>(made));
    }
  }
}

/// Fits and quantizes `rotated`, rows × columns, whole groups of an even size.
template <class Format, bool Search>
void launch_fitted_groups(const float* rotated, std::uint64_t rows, std::uint64_t columns, std::uint32_t group_size, std::uint8_t* codes,
                          std::uint8_t* scales, cudaStream_t stream) {
  if (rows == 0 || columns == 0) return;
  fitted_groups_kernel<Format, Search>
      <<<static_cast<unsigned>(rows), kFittedThreads, 0, stream>>>(rotated, columns, group_size, codes, scales);
  check_launch("start a fitting quantization kernel");
}

/// Rounded to an integer, ties to even, for magnitudes of at most 2^22.
[[nodiscard]] __device__ inline float nearest_integer(float value) {
  constexpr float magic = 12582912.0F;  // 1.5 * 2^23, whose unit in the last place is 1
  return (value + magic) - magic;
}

/// The values of `Width` codes of a group, rounded to Target.
template <class Format, class Target, int Width>
[[nodiscard]] __device__ Chunk<typename Target::Raw, Width> fitted_values(const float (&levels)[16],
                                                                          const Chunk<std::uint8_t, Width / 2>& codes, float scale,
                                                                          float row_scale) {
  Chunk<typename Target::Raw, Width> made;
  // No level exceeds 1: up to here no value saturates, nor is a product with a finite number NaN.
  if (codec::magnitude(scale) <= codec::Int8::max_value() && codec::bits(codec::magnitude(row_scale)) < codec::kInfinityBits) {
#pragma unroll
    for (int i = 0; i < Width; ++i) {
      const float value = nearest_integer(levels[code_at<Format>(codes, i)] * scale);
      made.items[i] = Target::encode_number(value * row_scale);
    }
    return made;
  }
#pragma unroll
  for (int i = 0; i < Width; ++i) {
    made.items[i] = Target::encode(Format::decode_level(levels[code_at<Format>(codes, i)], scale) * row_scale);
  }
  return made;
}

/// Chunks whose loads a thread has in flight at once.
constexpr unsigned kFittedChunks = 4;

/// A block to a part of a row; groups have 2^`group_shift` columns, a multiple of `Width`.
template <class Format, class Target, int Width>
__global__ void __launch_bounds__(kFittedThreads)
    dequantize_fitted_kernel(const std::uint8_t* __restrict__ codes, std::uint64_t rows, std::uint64_t columns, unsigned group_shift,
                             const std::uint8_t* __restrict__ scales, typename Target::Raw* __restrict__ out) {
  __shared__ float levels[16];
  const std::uint64_t groups = columns >> group_shift;
  const std::uint64_t first = static_cast<std::uint64_t>(blockIdx.x) * kFittedThreads * Width * kFittedChunks + threadIdx.x * Width;
  if (threadIdx.x < 16) levels[threadIdx.x] = Format::level(threadIdx.x);
  __syncthreads();
  for (std::uint64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    const std::uint8_t* row_scales = scales + row * row_scale_bytes(groups);
    const std::uint8_t* from = codes + code_bytes<Format>(row * columns);
    const float row_scale = load_row_scale(row_scales + groups);
    Chunk<std::uint8_t, Width / 2> loaded[kFittedChunks];
    std::uint8_t stored[kFittedChunks];
#pragma unroll
    for (unsigned k = 0; k < kFittedChunks; ++k) {
      const std::uint64_t wanted = first + k * kFittedThreads * Width;
      const std::uint64_t column = wanted < columns ? wanted : 0;  // always there
      loaded[k] = load_chunk<std::uint8_t, Width / 2>(from + code_bytes<Format>(column));
      stored[k] = row_scales[column >> group_shift];
    }
#pragma unroll
    for (unsigned k = 0; k < kFittedChunks; ++k) {
      const std::uint64_t column = first + k * kFittedThreads * Width;
      if (column >= columns) break;
      const float scale = formats::decode_operand<Format>(stored[k], 1.0F);
      store_chunk(out + row * columns + column, fitted_values<Format, Target, Width>(levels, loaded[k], scale, row_scale));
    }
  }
}

template <class Format, class Target, int Width>
void launch_dequantize_fitted_of_width(const std::uint8_t* codes, std::uint64_t rows, std::uint64_t columns, std::uint32_t group_size,
                                       const std::uint8_t* scales, typename Target::Raw* out, cudaStream_t stream) {
  constexpr std::uint64_t most_rows = 65535;  // that a grid can have
  const std::uint64_t per_block = std::uint64_t{kFittedThreads} * Width * kFittedChunks;
  const dim3 blocks(static_cast<unsigned>((columns + per_block - 1) / per_block),
                    static_cast<unsigned>(rows < most_rows ? rows : most_rows));
  dequantize_fitted_kernel<Format, Target, Width>
      <<<blocks, kFittedThreads, 0, stream>>>(codes, rows, columns, static_cast<unsigned>(__builtin_ctz(group_size)), scales, out);
}

/// The values of `codes`, rounded to Target; groups have 4 columns or a larger power of two.
template <class Format, class Target>
void launch_dequantize_fitted(const std::uint8_t* codes, std::uint64_t rows, std::uint64_t columns, std::uint32_t group_size,
                              const std::uint8_t* scales, typename Target::Raw* out, cudaStream_t stream) {
  if (rows == 0 || columns == 0) return;
  constexpr int width = kVectorElements<typename Target::Raw>;
  if (group_size % width == 0) {
    launch_dequantize_fitted_of_width<Format, Target, width>(codes, rows, columns, group_size, scales, out, stream);
  } else {
    launch_dequantize_fitted_of_width<Format, Target, 4>(codes, rows, columns, group_size, scales, out, stream);
  }
  check_launch("start a dequantization kernel");
}

}  // namespace halftone::cuda
