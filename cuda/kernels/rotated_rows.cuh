#pragma once

// Rotation in groups of 256 and quantization with one scale for each row, both in one reading of the weights.

#include <halftone/codec/hd.hpp>

#include "kernels/access.cuh"
#include "kernels/codes.cuh"
#include "kernels/reduce.cuh"
#include "kernels/rotated_groups.cuh"
#include "kernels/sources.cuh"
#include "runtime/check.hpp"
#include "runtime/shared_memory.hpp"

namespace halftone::cuda {

constexpr unsigned kRotatedThreads = 1024;
/// Of the blocks for rows of up to 8192 columns.
constexpr unsigned kFewRotatedThreads = 256;
/// The lines of a thread come through the first-level cache, half a sector at a time.
constexpr int kRotatedCarveout = cudaSharedmemCarveoutDefault;

/// Where the lines of a thread are: groups of its team in a row of weights.
struct PairPlace {
  std::uint32_t column;   ///< of the first group
  std::uint32_t columns;  ///< of the row

  __device__ PairPlace(unsigned thread, std::uint32_t n) : column(thread / kRotationTeam * kPairElements), columns(n) {}
  [[nodiscard]] __device__ std::uint32_t first(unsigned group) const { return column + group * kFusedRotationGroup; }
  [[nodiscard]] __device__ bool holds(unsigned group) const { return first(group) < columns; }

  /// Threads without work repeat some of what others do, and store nothing.
  template <class Source>
  __device__ Lines<Source> load(const typename Source::Raw* row, unsigned member) const {
    using L = Lines<Source>;
    L lines;
#pragma unroll
    for (unsigned g = 0; g < 2; ++g) {
      const typename Source::Raw* line = row + (holds(g) ? first(g) : 0) + member * kLineElements;
#pragma unroll
      for (int k = 0; k < L::kChunks; ++k) lines.chunks[g][k] = load_chunk<typename Source::Raw, L::kWidth, true>(line + k * L::kWidth);
    }
    return lines;
  }
};

/// The codes of two columns go to their places in the line; of those of a group each of 8 threads then stores vectors.
template <class Format>
class CodeLines {
 public:
  static constexpr unsigned kGroupBytes = static_cast<unsigned>(code_bytes<Format>(kFusedRotationGroup));
  static constexpr unsigned kVectors = kGroupBytes / 8 / kVectorBytes;

  /// The codes of two weights of a line that are side by side.
  static __device__ void put(const Team& team, unsigned line, float first, float second, float scale) {
    std::uint8_t* pair = team.bytes(team.group()) + (line * 8 + team.pair()) * (kGroupBytes / 128);
    const std::uint32_t high = Format::template encode_within<0>(second, scale);
    if constexpr (kNibbles<Format>) {
      static_assert(formats::kPackingOf<Format> == formats::Packing::low_nibble_first);
      // With 8 more the first code takes nothing from the second one.  What is above the codes ends up above the byte.
      *pair = static_cast<std::uint8_t>((high << 4) + Format::template encode_within<8>(first, scale));
    } else {
      *reinterpret_cast<std::uint16_t*>(pair) =
          static_cast<std::uint16_t>(__byte_perm(Format::template encode_within<0>(first, scale), high, 0x3340));
    }
  }

  /// Stores the codes of the group of a thread to `to`, where those of its group begin.
  static __device__ void store(const Team& team, std::uint8_t* to) {
#pragma unroll
    for (unsigned k = 0; k < kVectors; ++k) {
      const unsigned at = (k * 8 + team.pair()) * static_cast<unsigned>(kVectorBytes);
      uint4 words = *reinterpret_cast<const uint4*>(team.bytes(team.group()) + at);
      if constexpr (kNibbles<Format>) {
        constexpr std::uint32_t added = 0x0808'0808U;
        words = make_uint4(words.x ^ added, words.y ^ added, words.z ^ added, words.w ^ added);
      }
      __stcs(reinterpret_cast<uint4*>(to + at), words);
    }
  }
};

/// A block has some rows of threads, each of whole warps, for as many rows of weights.
template <class Format, class Source, unsigned Threads>
__global__ void __launch_bounds__(Threads)
    rotated_rows_kernel(const typename Source::Raw* __restrict__ in, std::uint64_t rows, std::uint32_t columns,
                        std::uint8_t* __restrict__ codes, float* __restrict__ scales, std::uint32_t* __restrict__ largest) {
  extern __shared__ uint4 dynamic_shared[];
  __shared__ RowMaxima of_warps[Threads / 32];
  const std::uint64_t row = static_cast<std::uint64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  const bool there = row < rows;
  const Team team(dynamic_shared, threadIdx.y * blockDim.x + threadIdx.x);
  const PairPlace place(threadIdx.x, columns);
  const auto lines = place.load<Source>(in + (there ? row * columns : 0), team.member());
  const SharedMax of_weight(largest, threadIdx.x == 0);  // while the loads are under way
  float x[2][kLineElements];
  const std::uint32_t plain = rotate_lines(lines, team, x);
  const std::uint32_t found = max(Extremes::of(x[0]).largest(), Extremes::of(x[1]).largest());
  const RowMaxima of_row = maxima_over_row({found, max(found, plain)}, blockDim.x, of_warps + threadIdx.y * (blockDim.x / 32));
  const auto scale = Format::scale_from_amax(codec::from_bits(of_row.value));
  if (threadIdx.x == 0 && there) {
    scales[row] = scale.stored;
    of_weight.raise(of_row.seen);
  }
  __syncwarp();
#pragma unroll
  for (unsigned i = 0; i < kLineElements; ++i) CodeLines<Format>::put(team, i, x[0][i], x[1][i], scale.encode);
  __syncwarp();
  const unsigned group = team.group();
  if (there && place.holds(group)) CodeLines<Format>::store(team, codes + code_bytes<Format>(row * columns + place.first(group)));
}

/// How rows are shared out among blocks.
struct RotatedBlocks {
  dim3 threads;
  unsigned count;
  std::size_t shared_bytes;

  [[nodiscard]] bool has_few_threads() const { return threads.x * threads.y <= kFewRotatedThreads; }

  static RotatedBlocks of(std::uint64_t rows, std::uint32_t columns) {
    const unsigned across = (columns + 2 * kPairElements - 1) / (2 * kPairElements) * 32;
    const dim3 threads(across, across < kFewRotatedThreads ? kFewRotatedThreads / across : 1);
    return {threads, static_cast<unsigned>((rows + threads.y - 1) / threads.y),
            std::size_t{threads.x} * threads.y / kRotationTeam * kTeamFloats * sizeof(float)};
  }
};

/// Whether rows are whole groups of 256, fit a block and begin at vectors.
template <class Raw>
[[nodiscard]] bool rotated_rows_fit(const Raw* in, const std::uint8_t* codes, std::uint64_t columns, std::uint32_t rotation_group) {
  constexpr std::uint64_t most_columns = std::uint64_t{kRotatedThreads} / kRotationTeam * kPairElements;
  return rotation_group == kFusedRotationGroup && columns % kFusedRotationGroup == 0 && columns <= most_columns &&
         rows_align<Raw, std::uint8_t>(in, codes, columns, static_cast<int>(kLineElements));
}

template <class Format, class Source, unsigned Threads>
[[nodiscard]] bool launch_rotated_blocks(const RotatedBlocks& blocks, const typename Source::Raw* in, std::uint64_t rows,
                                         std::uint32_t columns, std::uint8_t* codes, float* scales, std::uint32_t* largest,
                                         cudaStream_t stream) {
  constexpr auto kernel = rotated_rows_kernel<Format, Source, Threads>;
  if (blocks.shared_bytes > dynamic_shared_bytes<kernel, kRotatedCarveout>()) return false;
  kernel<<<blocks.count, blocks.threads, blocks.shared_bytes, stream>>>(in, rows, columns, codes, scales, largest);
  check_launch("start a rotating quantization kernel");
  return true;
}

/// Rotates and quantizes `in`, rows × columns, as launch_rotate() and launch_groups() would; false, and nothing done,
/// where the rows do not fit.
template <class Format, class Source>
[[nodiscard]] bool launch_rotated_rows(const typename Source::Raw* in, std::uint64_t rows, std::uint64_t columns,
                                       std::uint32_t rotation_group, std::uint8_t* codes, float* scales, std::uint32_t* largest,
                                       cudaStream_t stream) {
  if (!rotated_rows_fit<typename Source::Raw>(in, codes, columns, rotation_group)) return false;
  if (rows == 0 || columns == 0) return true;
  const auto width = static_cast<std::uint32_t>(columns);
  const RotatedBlocks blocks = RotatedBlocks::of(rows, width);
  // Rows of up to 8192 columns: the compiler places less under the limit of registers that large blocks have.
  if (blocks.has_few_threads()) {
    return launch_rotated_blocks<Format, Source, kFewRotatedThreads>(blocks, in, rows, width, codes, scales, largest, stream);
  }
  return launch_rotated_blocks<Format, Source, kRotatedThreads>(blocks, in, rows, width, codes, scales, largest, stream);
}

}  // namespace halftone::cuda
