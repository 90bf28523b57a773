#pragma once

#include <halftone/format.hpp>

#include "formats/format_traits.hpp"
#include "kernels/access.cuh"
#include "kernels/coders.cuh"
#include "kernels/codes.cuh"
#include "kernels/groups.cuh"
#include "runtime/check.hpp"

namespace halftone::cuda {

constexpr unsigned kDequantizeThreads = 256;

/// Where the scales of a weight are; all on the device.
template <class Format>
struct Scales {
  const formats::StoredScale<Format>* stored = nullptr;  ///< of the groups, or that of the weight for ScaleGrid::tensor
  const float* tensor = nullptr;                         ///< of the whole weight, for formats of two levels
};

/// A weight of codes as the kernel walks over it: rows that lie one behind another, with scales that do so too, are
/// one long row.
struct CodeRows {
  Groups groups;
  std::uint64_t padded = 0;  ///< elements of a row of codes
  unsigned shift = 63;       ///< with one scale for each row: column >> shift is how many rows of the long one came before

  template <class Format>
  static CodeRows of(const Groups& groups, std::uint64_t padded) {
    CodeRows rows{groups, padded};
    const bool power = (groups.columns & (groups.columns - 1)) == 0;
    const bool merges = Format::kGrid == ScaleGrid::row ? power : Format::kGrid == ScaleGrid::run && padded == groups.columns;
    if (!merges || groups.columns == 0) return rows;
    if (Format::kGrid == ScaleGrid::row) rows.shift = static_cast<unsigned>(__builtin_ctzll(groups.columns));
    rows.groups.columns *= groups.rows;
    rows.groups.rows = 1;
    rows.padded = rows.groups.columns;
    return rows;
  }
};

/// What decode() takes for the elements of a chunk at (row, column).
template <class Format>
[[nodiscard]] __device__ float operand_at(const CodeRows& rows, const formats::StoredScale<Format>* __restrict__ stored,
                                          const float* __restrict__ tensor, std::uint64_t row, std::uint64_t column) {
  if constexpr (Format::kGrid == ScaleGrid::none) return 1.0F;
  if constexpr (Format::kGrid == ScaleGrid::tensor) return stored[0];
  if constexpr (Format::kGrid == ScaleGrid::row) return stored[row + (column >> rows.shift)];
  if constexpr (Format::kGrid == ScaleGrid::run) {
    constexpr std::uint32_t run = formats::kRunOf<Format>;
    return formats::decode_operand<Format>(stored[row * (rows.padded / run) + column / run], formats::TwoLevel<Format> ? *tensor : 1.0F);
  }
  if constexpr (Format::kGrid == ScaleGrid::block) {
    // The width of a block fits 32 bits, and so do rows and columns of any weight with blocks.
    const unsigned block = static_cast<unsigned>(column) / static_cast<unsigned>(rows.groups.width);
    return stored[static_cast<std::uint64_t>(static_cast<unsigned>(row) / rows.groups.height) * rows.groups.across + block];
  }
}

/// The values of a chunk of codes that have one operand.
template <class Format, class Target, int Width, int Bytes>
[[nodiscard]] __device__ Chunk<typename Target::Raw, Width> values_of(const Decoder<Format>& decode,
                                                                      const Chunk<std::uint8_t, Bytes>& codes, float operand) {
  Chunk<typename Target::Raw, Width> made;
  if constexpr (Decoder<Format>::kFiniteLevels) {
    // Then no product is NaN either, and need not be looked at.
    if (codec::bits(codec::magnitude(operand)) < codec::kInfinityBits) {
#pragma unroll
      for (int i = 0; i < Width; ++i) made.items[i] = Target::encode_number(decode.level(code_at<Format>(codes, i)) * operand);
      return made;
    }
  }
#pragma unroll
  for (int i = 0; i < Width; ++i) made.items[i] = Target::encode(decode(code_at<Format>(codes, i), operand));
  return made;
}

/// Chunks whose loads a thread has in flight at once.
constexpr unsigned kDequantizeChunks = 2;

/// A block to a part of a row; `width` of the groups is a multiple of Width, or Width is the fewest.  `Aligned`: chunks of
/// results can be stored at once.
template <class Format, class Target, int Width, bool Aligned>
__global__ void __launch_bounds__(kDequantizeThreads)
    dequantize_kernel(const std::uint8_t* __restrict__ codes, CodeRows rows, const formats::StoredScale<Format>* __restrict__ stored,
                      const float* __restrict__ tensor, typename Target::Raw* __restrict__ out) {
  __shared__ typename Decoder<Format>::Shared shared;
  constexpr int bytes = static_cast<int>(code_bytes<Format>(Width));
  const unsigned step = blockDim.x * Width;
  const std::uint64_t first = static_cast<std::uint64_t>(blockIdx.x) * step * kDequantizeChunks;
  const std::uint64_t columns = rows.groups.columns;
  const auto left = static_cast<unsigned>(min(columns - first, static_cast<std::uint64_t>(step) * kDequantizeChunks));
  const Decoder<Format> decode(shared);
  for (std::uint64_t row = blockIdx.y; row < rows.groups.rows; row += gridDim.y) {
    const std::uint8_t* from = codes + code_bytes<Format>(row * rows.padded + first);
    typename Target::Raw* to = out + row * columns + first;
    Chunk<std::uint8_t, bytes> loaded[kDequantizeChunks];
    float operands[kDequantizeChunks];
#pragma unroll
    for (unsigned k = 0; k < kDequantizeChunks; ++k) {
      const unsigned wanted = threadIdx.x * Width + k * step;
      const unsigned at = wanted < left ? wanted : 0;  // always there
      loaded[k] = load_chunk<std::uint8_t, bytes>(from + code_bytes<Format>(at));
      operands[k] = operand_at<Format>(rows, stored, tensor, row, first + at);
    }
#pragma unroll
    for (unsigned k = 0; k < kDequantizeChunks; ++k) {
      const unsigned at = threadIdx.x * Width + k * step;
      if (at >= left) break;
      const auto made = values_of<Format, Target, Width>(decode, loaded[k], operands[k]);
      if constexpr (Aligned) {
        store_chunk<typename Target::Raw, Width>(to + at, made);
      } else {
#pragma unroll
        for (int i = 0; i < Width; ++i) {
          if (at + i < left) to[at + i] = made.items[i];
        }
      }
    }
  }
}

template <class Format, class Target, int Width, bool Aligned>
void launch_dequantize_of_width(const std::uint8_t* codes, const CodeRows& rows, const Scales<Format>& scales, typename Target::Raw* out,
                                cudaStream_t stream) {
  constexpr std::uint64_t most_rows = 65535;  // that a grid can have
  const std::uint64_t per_thread = Width * kDequantizeChunks;
  const std::uint64_t wanted = (rows.groups.columns + per_thread - 1) / per_thread;
  const auto threads = static_cast<unsigned>(wanted < kDequantizeThreads ? (wanted + 31) / 32 * 32 : kDequantizeThreads);
  const dim3 blocks(static_cast<unsigned>((wanted + threads - 1) / threads),
                    static_cast<unsigned>(rows.groups.rows < most_rows ? rows.groups.rows : most_rows));
  dequantize_kernel<Format, Target, Width, Aligned><<<blocks, threads, 0, stream>>>(codes, rows, scales.stored, scales.tensor, out);
}

/// The values of `codes`, rounded to Target; `padded` columns to a row of codes.
template <class Format, class Target>
void launch_dequantize(const std::uint8_t* codes, const Groups& groups, std::uint64_t padded, const Scales<Format>& scales,
                       typename Target::Raw* out, cudaStream_t stream) {
  if (groups.rows == 0 || groups.columns == 0) return;
  const CodeRows rows = CodeRows::of<Format>(groups, padded);
  constexpr int width = kVectorElements<typename Target::Raw>;
  const bool aligned = rows_align<std::uint8_t, typename Target::Raw>(codes, out, groups.columns, width) && groups.width % width == 0;
  if (aligned) {
    launch_dequantize_of_width<Format, Target, width, true>(codes, rows, scales, out, stream);
  } else {
    launch_dequantize_of_width<Format, Target, kFewestCodes<Format>, false>(codes, rows, scales, out, stream);
  }
  check_launch("start a dequantization kernel");
}

}  // namespace halftone::cuda
