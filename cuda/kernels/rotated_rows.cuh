#pragma once

// Rotation in groups of 256 and quantization with one scale for each row, both in one reading of the weights.

#include <halftone/codec/hd.hpp>

#include "formats/rotation.hpp"
#include "kernels/access.cuh"
#include "kernels/codes.cuh"
#include "kernels/magnitude.cuh"
#include "kernels/reduce.cuh"
#include "kernels/sources.cuh"
#include "runtime/check.hpp"
#include "runtime/shared_memory.hpp"

namespace halftone::cuda {

/// The groups that the kernel rotates.
constexpr std::uint32_t kFusedRotationGroup = 256;
/// Elements of a line.  A team of as many threads, half a warp, has the lines of a group.
constexpr unsigned kLineElements = 16;
constexpr unsigned kRotatedThreads = 1024;

/// Shared memory of a team, in floats: 16 lines of 16 values, each with 4 words behind it, and 16 words behind them.
/// Then lines and columns, of two teams side by side, lie in different banks.
constexpr unsigned kLineFloats = 20;
constexpr unsigned kTeamFloats = 336;

/// The bits of the largest magnitudes above and below zero; 0 where there are none.
struct Extremes {
  std::uint32_t above;
  std::uint32_t below;

  template <int N>
  [[nodiscard]] static __device__ Extremes of(const float (&values)[N]) {
    // Positive numbers order like signed integers, negative ones, by magnitude, like unsigned ones.
    std::int32_t positive = 0;
    std::uint32_t negative = 0;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      positive = max(positive, __float_as_int(values[i]));
      negative = max(negative, __float_as_uint(values[i]));
    }
    return {static_cast<std::uint32_t>(positive), negative > codec::kSignMask ? negative & codec::kMagnitudeMask : 0U};
  }
  [[nodiscard]] __device__ std::uint32_t largest() const { return max(above, below); }
};

/// A column of a group becomes its line again.
__device__ inline void to_line(float (&x)[kLineElements], float* team, unsigned member) {
#pragma unroll
  for (unsigned i = 0; i < kLineElements; ++i) team[member + i * kLineFloats] = x[i];
  __syncwarp();
#pragma unroll
  for (unsigned i = 0; i < kLineElements; i += 4) {
    const float4 four = *reinterpret_cast<const float4*>(team + member * kLineFloats + i);
    x[i] = four.x;
    x[i + 1] = four.y;
    x[i + 2] = four.z;
    x[i + 3] = four.w;
  }
  __syncwarp();
}

/// A line of a group becomes its column: thread t of a team goes on with the values t, t + 16, t + 32, … of the group.
__device__ inline void to_columns(float (&x)[kLineElements], float* team, unsigned member) {
#pragma unroll
  for (unsigned i = 0; i < kLineElements; i += 4) {
    *reinterpret_cast<float4*>(team + member * kLineFloats + i) = make_float4(x[i], x[i + 1], x[i + 2], x[i + 3]);
  }
  __syncwarp();
#pragma unroll
  for (unsigned i = 0; i < kLineElements; ++i) x[i] = team[member + i * kLineFloats];
  __syncwarp();
}

/// The chunks of the line of a thread.
template <class Source>
using LineChunks =
    Chunk<typename Source::Raw, kVectorElements<typename Source::Raw>>[kLineElements / kVectorElements<typename Source::Raw>];

/// Rotates the group whose lines the threads of a team have loaded, and leaves its columns in `x`; `plain` also sees the
/// weights before that.
template <class Source>
__device__ void rotate_lines(const LineChunks<Source>& loaded, float* team, unsigned member, LargestMagnitude<Source>& plain,
                             float (&x)[kLineElements]) {
  constexpr int width = kVectorElements<typename Source::Raw>;
  constexpr int chunks = kLineElements / width;
  constexpr bool halve_before = sizeof(typename Source::Raw) == 2;
  constexpr auto when = halve_before ? formats::Halving::beforehand : formats::Halving::each_factor;
#pragma unroll
  for (int k = 0; k < chunks; ++k) {
    plain.add(loaded[k]);
    float values[width];
    decode_chunk<Source>(loaded[k], values);
#pragma unroll
    for (int i = 0; i < width; ++i) x[k * width + i] = values[i] * (halve_before ? 0x1p-4F : 1.0F);
  }
  formats::rotate_group<16, 1, when>(x);
  to_columns(x, team, member);
  formats::rotate_group<16, 1, when>(x);
}

/// A block has some rows of threads, each of whole warps, for as many rows of weights; each thread has `Lines` lines, one
/// row of threads apart.
template <class Format, class Source, unsigned Lines>
__global__ void __launch_bounds__(kRotatedThreads)
    rotated_rows_kernel(const typename Source::Raw* __restrict__ in, std::uint64_t rows, std::uint32_t columns,
                        std::uint8_t* __restrict__ codes, float* __restrict__ scales, std::uint32_t* __restrict__ largest) {
  using Raw = typename Source::Raw;
  constexpr int width = kVectorElements<Raw>;
  constexpr int chunks = kLineElements / width;
  extern __shared__ uint4 dynamic_shared[];
  __shared__ std::uint32_t of_warps[kRotatedThreads / 32];

  const std::uint64_t row = static_cast<std::uint64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  const Raw* from = in + (row < rows ? row * columns : 0);
  const unsigned member = threadIdx.x % 16;
  float* team = reinterpret_cast<float*>(dynamic_shared) + (threadIdx.y * blockDim.x + threadIdx.x) / 16 * kTeamFloats;
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
  LargestMagnitude<Source> plain;                             // of what is not rotated yet
  float x[Lines][kLineElements];
  std::uint32_t found = 0;
#pragma unroll
  for (unsigned l = 0; l < Lines; ++l) {
    rotate_lines<Source>(loaded[l], team, member, plain, x[l]);
    found = max(found, Extremes::of(x[l]).largest());
  }
  if (row >= rows) found = 0;
  const std::uint32_t most = __reduce_max_sync(0xFFFF'FFFFU, row < rows ? max(found, plain.bits()) : 0U);
  if (threadIdx.x % 32 == 0) of_weight.raise(most);
  const std::uint32_t of_row = max_over_row(found, blockDim.x, of_warps + threadIdx.y * (blockDim.x / 32));
  const auto scale = Format::scale_from_amax(codec::from_bits(of_row));
  if (threadIdx.x == 0 && row < rows) scales[row] = scale.stored;

  // The codes go back to their places through the same memory.
  auto* bytes = reinterpret_cast<std::uint8_t*>(team);
#pragma unroll
  for (unsigned l = 0; l < Lines; ++l) {
#pragma unroll
    for (unsigned i = 0; i < kLineElements; ++i) {
      bytes[member + i * 16] = static_cast<std::uint8_t>(Format::encode(x[l][i], scale.encode));
    }
    __syncwarp();
    const auto line = *reinterpret_cast<const Chunk<std::uint8_t, kLineElements>*>(bytes + member * 16);
    __syncwarp();
    const unsigned column = column_of(l);
    if (row < rows && column < columns) store_chunk(codes + code_bytes<Format>(row * columns + column), packed_bytes<Format>(line));
  }
}

/// How rows are shared out among blocks.
struct RotatedBlocks {
  dim3 threads;
  unsigned count;
  std::size_t shared_bytes;

  static RotatedBlocks of(std::uint64_t rows, std::uint32_t columns, unsigned lines) {
    constexpr unsigned fewest = 256;
    const unsigned across = (columns / kLineElements + lines * 32 - 1) / (lines * 32) * 32;
    const dim3 threads(across, across < fewest ? fewest / across : 1);
    return {threads, static_cast<unsigned>((rows + threads.y - 1) / threads.y),
            std::size_t{threads.x} * threads.y / 16 * kTeamFloats * sizeof(float)};
  }
};

template <class Format, class Source, unsigned Lines>
[[nodiscard]] bool launch_rotated_lines(const typename Source::Raw* in, std::uint64_t rows, std::uint32_t columns, std::uint8_t* codes,
                                        float* scales, std::uint32_t* largest, cudaStream_t stream) {
  constexpr auto kernel = rotated_rows_kernel<Format, Source, Lines>;
  const RotatedBlocks blocks = RotatedBlocks::of(rows, columns, Lines);
  if (blocks.threads.x > kRotatedThreads || blocks.shared_bytes > dynamic_shared_bytes<kernel>()) return false;
  kernel<<<blocks.count, blocks.threads, blocks.shared_bytes, stream>>>(in, rows, columns, codes, scales, largest);
  check_launch("start a rotating quantization kernel");
  return true;
}

/// Whether rows are whole groups of 256, fit a block and begin at vectors.
template <class Raw>
[[nodiscard]] bool rotated_rows_fit(const Raw* in, const std::uint8_t* codes, std::uint64_t columns, std::uint32_t rotation_group) {
  constexpr std::uint64_t most_columns = std::uint64_t{2} * kRotatedThreads * kLineElements;
  return rotation_group == kFusedRotationGroup && columns % kFusedRotationGroup == 0 && columns <= most_columns &&
         rows_align<Raw, std::uint8_t>(in, codes, columns, static_cast<int>(kLineElements));
}

/// Rotates and quantizes `in`, rows × columns, as launch_rotate() and launch_groups() would; false, and nothing done,
/// where the rows do not fit.
template <class Format, class Source>
[[nodiscard]] bool launch_rotated_rows(const typename Source::Raw* in, std::uint64_t rows, std::uint64_t columns,
                                       std::uint32_t rotation_group, std::uint8_t* codes, float* scales, std::uint32_t* largest,
                                       cudaStream_t stream) {
  constexpr std::uint64_t few_columns = 4096;
  if (!rotated_rows_fit<typename Source::Raw>(in, codes, columns, rotation_group)) return false;
  if (rows == 0 || columns == 0) return true;
  const auto width = static_cast<std::uint32_t>(columns);
  if (columns <= few_columns) return launch_rotated_lines<Format, Source, 1>(in, rows, width, codes, scales, largest, stream);
  return launch_rotated_lines<Format, Source, 2>(in, rows, width, codes, scales, largest, stream);
}

}  // namespace halftone::cuda
