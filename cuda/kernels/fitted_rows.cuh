#pragma once

// Rows whose groups have fitted scales, under a scale for each row (formats::RowScaled); the weights are rotated first.

#include <halftone/codec/hd.hpp>

#include "formats/format_traits.hpp"
#include "formats/level_cells.hpp"
#include "kernels/access.cuh"
#include "kernels/codes.cuh"
#include "kernels/reduce.cuh"
#include "kernels/rotated_rows.cuh"
#include "kernels/sources.cuh"
#include "runtime/check.hpp"
#include "runtime/shared_memory.hpp"

namespace halftone::cuda {

/// Groups of the usual size are the line of a thread.
constexpr std::uint32_t kFusedFitGroup = kLineElements;

/// Bytes of the scales of a row: those of its groups, and its own.
[[nodiscard]] __host__ __device__ inline std::uint64_t row_scale_bytes(std::uint64_t groups) { return groups + sizeof(float); }

/// Behind any number of bytes.
__device__ inline void store_row_scale(std::uint8_t* to, float scale) {
  const std::uint32_t bits = codec::bits(scale);
#pragma unroll
  for (unsigned i = 0; i < 4; ++i) to[i] = static_cast<std::uint8_t>(bits >> 8 * i);
}
[[nodiscard]] __device__ inline float load_row_scale(const std::uint8_t* from) {
  std::uint32_t bits = 0;
#pragma unroll
  for (unsigned i = 0; i < 4; ++i) bits |= static_cast<std::uint32_t>(from[i]) << 8 * i;
  return codec::from_bits(bits);
}

/// The sum over 16 lanes by halves, as KernelTable::squared_error has it.
[[nodiscard]] __device__ inline float sum_of_lanes(float (&lanes)[kLineElements]) {
#pragma unroll
  for (unsigned half = kLineElements / 2; half > 0; half /= 2) {
#pragma unroll
    for (unsigned l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

/// Format::fit() of a group that LevelCells does not serve, which is rare: out of the way of the others.
template <class Format>
__device__ __noinline__ float fit_any(const float* weights, std::uint32_t n, float* largest) {
  float found = *largest;
  const float scale = Format::fit(weights, n, found);
  *largest = found;
  return scale;
}

/// The fitted scale of the weights of a thread; raises `largest`.
template <class Format>
[[nodiscard]] __device__ float fit_line(const formats::LevelCells<Format>& cells, const float (&x)[kLineElements], const Extremes& extremes,
                                        float& largest) {
  if (extremes.largest() < codec::bits(formats::LevelCells<Format>::kLargest)) {
    return cells.fit(x, -codec::from_bits(extremes.below), codec::from_bits(extremes.above), largest);
  }
  float weights[kLineElements];
  float found = largest;
#pragma unroll
  for (unsigned i = 0; i < kLineElements; ++i) weights[i] = x[i];
  const float scale = fit_any<Format>(weights, kLineElements, &found);
  largest = found;
  return scale;
}

/// The squared error, in units of the row's scale, of the weights of a thread with `scale` for their group.
template <class Format>
[[nodiscard]] __device__ float line_error(const formats::LevelCells<Format>& cells, const float (&x)[kLineElements], float row_scale,
                                          float scale) {
  using Cells = formats::LevelCells<Format>;
  float errors[kLineElements];
  if (Cells::serves(scale)) {
    const float inverse = __fdividef(Cells::kCodeFactor, scale);
#pragma unroll
    for (unsigned i = 0; i < kLineElements; ++i) {
      const float weight = codec::ordinary_quotient(x[i], row_scale);
      const float difference = cells.template code<true>(weight, scale, inverse).value - weight;
      errors[i] = difference * difference;
    }
  } else {
#pragma unroll
    for (unsigned i = 0; i < kLineElements; ++i) {
      const float weight = x[i] / row_scale;
      const float difference = Format::decode(static_cast<std::uint8_t>(Format::encode(weight, scale)), scale) - weight;
      errors[i] = difference * difference;
    }
  }
  return sum_of_lanes(errors);
}

/// The scale of the group of a thread, of its fitted one.
template <class Format, bool Search>
[[nodiscard]] __device__ auto line_scale(const formats::LevelCells<Format>& cells, const float (&x)[kLineElements], float row_scale,
                                         float fitted) {
  const float wanted = codec::ordinary_quotient(fitted, row_scale);
  auto best = Format::scale_from_amax(wanted);
  if constexpr (Search) {
    float least = line_error<Format>(cells, x, row_scale, best.encode);
#pragma unroll 1
    for (int i = 1; i < formats::kCandidatesOf<Format>; ++i) {
      const auto scale = formats::candidate_scale<Format>(wanted, 1.0F, i);
      const float error = line_error<Format>(cells, x, row_scale, scale.encode);
      if (!(error < least)) continue;
      least = error;
      best = scale;
    }
  }
  return best;
}

/// The codes of the weights of a thread, two to a byte, the first in the low half.
template <class Format, bool Search>
[[nodiscard]] __device__ Codes<Format, kLineElements> line_codes(const formats::LevelCells<Format>& cells, const float (&x)[kLineElements],
                                                                 float row_scale, float scale) {
  static_assert(formats::kPackingOf<Format> == formats::Packing::low_nibble_first);
  using Cells = formats::LevelCells<Format>;
  std::uint32_t words[2] = {};
  if (Cells::serves(scale)) {
    const float inverse = __fdividef(Cells::kCodeFactor, scale);
#pragma unroll
    for (unsigned i = 0; i < kLineElements; ++i) {
      const float weight = codec::ordinary_quotient(x[i], row_scale);
      const std::uint32_t code = cells.template code<Search>(weight, scale, inverse).times_4;
      words[i / 8] |= i % 8 == 0 ? code >> 2 : code << (i % 8 * 4 - 2);
    }
  } else {
#pragma unroll
    for (unsigned i = 0; i < kLineElements; ++i) words[i / 8] |= Format::encode(x[i] / row_scale, scale) << i % 8 * 4;
  }
  Codes<Format, kLineElements> made;
  memcpy(&made, words, sizeof made);
  return made;
}

/// Like rotated_rows_kernel; each line is a group.
template <class Format, class Source, unsigned Lines, bool Search>
__global__ void __launch_bounds__(kRotatedThreads)
    fitted_rows_kernel(const typename Source::Raw* __restrict__ in, std::uint64_t rows, std::uint32_t columns,
                       const __grid_constant__ formats::LevelCells<Format> made, std::uint8_t* __restrict__ codes,
                       std::uint8_t* __restrict__ scales, std::uint32_t* __restrict__ largest) {
  using Raw = typename Source::Raw;
  using Cells = formats::LevelCells<Format>;
  constexpr int width = kVectorElements<Raw>;
  constexpr int chunks = kLineElements / width;
  extern __shared__ uint4 dynamic_shared[];
  __shared__ std::uint32_t of_warps[kRotatedThreads / 32];
  __shared__ Cells cells;

  const std::uint64_t row = static_cast<std::uint64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  const Raw* from = in + (row < rows ? row * columns : 0);
  const unsigned member = threadIdx.x % 16;
  const unsigned thread = threadIdx.y * blockDim.x + threadIdx.x;
  float* team = reinterpret_cast<float*>(dynamic_shared) + thread / 16 * kTeamFloats;
  // Threads without work repeat some of what others do, and store nothing.
  const auto column_of = [&](unsigned l) { return (l * blockDim.x + threadIdx.x) * kLineElements; };

  LineChunks<Source> loaded[Lines];
#pragma unroll
  for (unsigned l = 0; l < Lines; ++l) {
    const unsigned at = column_of(l) < columns ? column_of(l) : member * kLineElements;
#pragma unroll
    for (int k = 0; k < chunks; ++k) loaded[l][k] = load_chunk<Raw, width, true>(from + at + k * width);
  }
  const SharedMax of_weight(largest, threadIdx.x % 32 == 0);  // while the loads are under way
  for (unsigned i = thread; i < sizeof made / sizeof(std::uint32_t); i += blockDim.x * blockDim.y) {
    reinterpret_cast<std::uint32_t*>(&cells)[i] = reinterpret_cast<const std::uint32_t*>(&made)[i];
  }
  __syncthreads();

  LargestMagnitude<Source> plain;  // of what is not rotated yet
  float x[Lines][kLineElements];
  float fitted[Lines];
  float of_fits = 0.0F;
  std::uint32_t found = 0;
#pragma unroll
  for (unsigned l = 0; l < Lines; ++l) {
    rotate_lines<Source>(loaded[l], team, member, plain, x[l]);
    to_line(x[l], team, member);
    const Extremes extremes = Extremes::of(x[l]);
    found = max(found, extremes.largest());
    fitted[l] = fit_line<Format>(cells, x[l], extremes, of_fits);
  }
  const std::uint32_t most = __reduce_max_sync(0xFFFF'FFFFU, row < rows ? max(found, plain.bits()) : 0U);
  if (threadIdx.x % 32 == 0) of_weight.raise(most);
  const std::uint32_t of_row = max_over_row(codec::bits(of_fits), blockDim.x, of_warps + threadIdx.y * (blockDim.x / 32));
  const float row_scale = Format::row_scale(codec::from_bits(of_row));
  const unsigned groups = columns / kLineElements;
  std::uint8_t* row_scales = scales + row * row_scale_bytes(groups);
  if (threadIdx.x == 0 && row < rows) store_row_scale(row_scales + groups, row_scale);
#pragma unroll
  for (unsigned l = 0; l < Lines; ++l) {
    const unsigned column = column_of(l);
    if (row >= rows || column >= columns) continue;
    const auto scale = line_scale<Format, Search>(cells, x[l], row_scale, fitted[l]);
    row_scales[column / kLineElements] = scale.stored;
    store_chunk(codes + code_bytes<Format>(row * columns + column), line_codes<Format, Search>(cells, x[l], row_scale, scale.encode));
  }
}

template <class Format, class Source, unsigned Lines, bool Search>
[[nodiscard]] bool launch_fitted_lines(const typename Source::Raw* in, std::uint64_t rows, std::uint32_t columns, std::uint8_t* codes,
                                       std::uint8_t* scales, std::uint32_t* largest, cudaStream_t stream) {
  constexpr auto kernel = fitted_rows_kernel<Format, Source, Lines, Search>;
  static const auto made = formats::LevelCells<Format>::made();
  const RotatedBlocks blocks = RotatedBlocks::of(rows, columns, Lines);
  if (blocks.threads.x > kRotatedThreads || blocks.shared_bytes > dynamic_shared_bytes<kernel>()) return false;
  kernel<<<blocks.count, blocks.threads, blocks.shared_bytes, stream>>>(in, rows, columns, made, codes, scales, largest);
  check_launch("start a fitting quantization kernel");
  return true;
}

/// Rotates, fits and quantizes `in`, rows × columns; false, and nothing done, where groups or rows are not those of the
/// kernel (launch_rotated_rows()).
template <class Format, class Source, bool Search>
[[nodiscard]] bool launch_fitted_rows(const typename Source::Raw* in, std::uint64_t rows, std::uint64_t columns,
                                      std::uint32_t rotation_group, std::uint32_t group_size, std::uint8_t* codes, std::uint8_t* scales,
                                      std::uint32_t* largest, cudaStream_t stream) {
  constexpr std::uint64_t few_columns = std::uint64_t{kRotatedThreads} * kLineElements;
  if (group_size != kFusedFitGroup || !rotated_rows_fit<typename Source::Raw>(in, codes, columns, rotation_group)) return false;
  if (rows == 0 || columns == 0) return true;
  const auto width = static_cast<std::uint32_t>(columns);
  if (columns <= few_columns) return launch_fitted_lines<Format, Source, 1, Search>(in, rows, width, codes, scales, largest, stream);
  return launch_fitted_lines<Format, Source, 2, Search>(in, rows, width, codes, scales, largest, stream);
}

}  // namespace halftone::cuda
