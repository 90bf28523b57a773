#pragma once

// Products of few rows of inputs with a weight that is decoded on its way into the tensor cores: the codes are all that is
// read of the weight, once.

#include <type_traits>

#include <halftone/codec/minifloat.hpp>

#include "formats/format_traits.hpp"
#include "kernels/codes.cuh"
#include "kernels/sources.cuh"
#include "linear/decoding_launches.hpp"
#include "linear/level_rows.cuh"
#include "linear/tensor_core.cuh"
#include "runtime/check.hpp"

namespace halftone::cuda {

/// Warps of a block, which share out the columns.
constexpr unsigned kDecodingWarps = 4;

/// Codes that a thread loads of a row at once.
template <class Format>
constexpr unsigned kDecodingChunk = kNibbles<Format> ? 2 * kVectorBytes : kVectorBytes;
/// Codes that certainly share a scale.
constexpr unsigned kSharedScale = 16;

/// A vector of codes.
struct CodeWords {
  std::uint32_t words[4];
};
__device__ inline CodeWords load_words(const std::uint8_t* from) {
  const uint4 four = __ldg(reinterpret_cast<const uint4*>(from));
  return {{four.x, four.y, four.z, four.w}};
}

/// Whether a row of the weight has one scale, which its sums are multiplied with: then codes alone become BF16, which all codes of
/// these formats are exactly.
template <class Format>
constexpr bool kScalesSums =
    (Format::kGrid == ScaleGrid::tensor || Format::kGrid == ScaleGrid::row) && std::is_same_v<formats::StoredScale<Format>, float> &&
    !formats::TwoLevel<Format>;

/// What codes stand for, times the scale of their group, as pairs of BF16.
template <class Format>
class ChunkDecoder {
 public:
  struct Shared {};
  __device__ explicit ChunkDecoder(Shared&) {}

  /// Codes `i` and `i` + 1; `i` is even.
  [[nodiscard]] __device__ std::uint32_t pair(const CodeWords& codes, unsigned i, float operand) const {
    const std::uint32_t both = codes.words[i / 4] >> (i % 4 * 8);
#if HALFTONE_DEVICE_CONVERSIONS
    if constexpr (kIsE4M3) {
      std::uint32_t halves = 0;
      asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(halves) : "h"(static_cast<std::uint16_t>(both)));
      const float low = codec::device::from_f16(static_cast<std::uint16_t>(halves));
      const float high = codec::device::from_f16(static_cast<std::uint16_t>(halves >> 16));
      return bf16_pair(low * operand, high * operand);
    }
#endif
    return bf16_pair(value(static_cast<std::uint8_t>(both), operand), value(static_cast<std::uint8_t>(both >> 8), operand));
  }

 private:
  static constexpr bool kIsE4M3 = [] {
    if constexpr (requires { typename Format::Codec; }) {
      return std::is_same_v<typename Format::Codec, codec::E4M3>;
    } else {
      return false;
    }
  }();

  [[nodiscard]] static __device__ float value(std::uint8_t code, float operand) {
    if constexpr (requires { typename Format::Codec; }) {
      return Format::Codec::decode(code) * operand;  // how a NaN is spelt makes no difference here
    } else {
      return Format::decode(code, operand);
    }
  }
};

/// Sixteen levels, in shared memory once for each lane: no two threads of a warp ever meet in a bank.
template <class Format>
requires(kNibbles<Format>) class ChunkDecoder<Format> {
 public:
  struct Shared {
    float levels[16][32];
  };
  __device__ explicit ChunkDecoder(Shared& shared) : levels_(&shared.levels[0][threadIdx.x % 32]) {
    for (unsigned i = threadIdx.x; i < 16 * 32; i += blockDim.x) shared.levels[i / 32][i % 32] = level(static_cast<std::uint8_t>(i / 32));
    __syncthreads();
  }

  [[nodiscard]] __device__ std::uint32_t pair(const CodeWords& codes, unsigned i, float operand) const {
    constexpr unsigned first = formats::kPackingOf<Format> == formats::Packing::high_nibble_first ? 4 : 0;
    const std::uint32_t word = codes.words[i / 8];
    const unsigned shift = i % 8 * 4;
    return bf16_pair(value(word >> (shift + first) & 15U, operand), value(word >> (shift + 4 - first) & 15U, operand));
  }

 private:
  [[nodiscard]] __device__ float value(std::uint32_t code, float operand) const {
    const float found = levels_[code * 32];
    if constexpr (formats::RowScaled<Format>) {
      return Format::decode_level(found, operand);
    } else {
      return found * operand;
    }
  }

  [[nodiscard]] static __device__ float level(std::uint8_t code) {
    if constexpr (formats::RowScaled<Format>) {
      return Format::level(code);
    } else {
      return Format::decode(code, 1.0F);
    }
  }

  const float* levels_;
};

/// What a thread has of two rows of the weight, eight rows apart, and of the inputs, at the same columns.
template <class Format, int Tiles>
struct DecodingStep {
  static constexpr unsigned kChunk = kDecodingChunk<Format>;
  static constexpr unsigned kScales = kChunk / kSharedScale;
  CodeWords codes[2];
  float operands[2][kScales];
  uint4 inputs[Tiles][kChunk / 8];

  /// `column`: the first of the thread's, which may lie behind the last; then all is 0.
  __device__ void load(const DecodingArgs& args, const DecodedRow (&rows)[2], unsigned group, unsigned column) {
    const bool inside = column < args.k;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      codes[r] = {};
      if (inside) codes[r] = load_words(rows[r].codes + code_bytes<Format>(column));
#pragma unroll
      for (unsigned s = 0; s < kScales; ++s) {
        operands[r][s] = inside ? operand_of(args, rows[r].first_scale + ((column + s * kSharedScale) >> args.group_shift)) : 0.0F;
      }
    }
#pragma unroll
    for (int tile = 0; tile < Tiles; ++tile) {
      const unsigned row = tile * kTileRows + group;
      const bool exists = inside && row < args.m;
#pragma unroll
      for (unsigned i = 0; i < kChunk / 8; ++i) {
        inputs[tile][i] = exists ? reinterpret_cast<const uint4*>(args.x + row * args.k + column)[i] : make_uint4(0, 0, 0, 0);
      }
    }
  }

  [[nodiscard]] static __device__ float operand_of(const DecodingArgs& args, std::uint64_t group) {
    if constexpr (Format::kGrid == ScaleGrid::none || kScalesSums<Format>) {
      return 1.0F;
    } else {
      const auto stored = reinterpret_cast<const formats::StoredScale<Format>*>(args.scales)[group];
      return formats::decode_operand<Format>(stored, formats::TwoLevel<Format> ? *args.tensor_scale : 1.0F);
    }
  }

  /// Columns of a tile are in any order, as long as weights and inputs agree: each thread takes four that lie side by side.
  __device__ void multiply(const ChunkDecoder<Format>& decode, float (&sums)[Tiles][4]) const {
#pragma unroll
    for (unsigned j = 0; j < kChunk / 4; ++j) {
      std::uint32_t a[4];
#pragma unroll
      for (unsigned half = 0; half < 2; ++half) {
#pragma unroll
        for (unsigned r = 0; r < 2; ++r) {
          a[2 * half + r] = decode.pair(codes[r], 4 * j + 2 * half, operands[r][4 * j / kSharedScale]);
        }
      }
#pragma unroll
      for (int tile = 0; tile < Tiles; ++tile) {
        const uint4 four = inputs[tile][j / 2];
        multiply_tile(sums[tile], a, j % 2 == 0 ? four.x : four.z, j % 2 == 0 ? four.y : four.w);
      }
    }
  }
};

template <class Format, int Tiles>
__global__ void __launch_bounds__(kDecodingWarps * 32) decoding_rows_kernel(DecodingArgs args) {
  constexpr unsigned chunk = kDecodingChunk<Format>;
  constexpr unsigned step = kDecodingWarps * 4 * chunk;
  __shared__ typename ChunkDecoder<Format>::Shared levels;
  __shared__ SumParts<kDecodingWarps, Tiles> parts;
  const ChunkDecoder<Format> decode(levels);
  const unsigned warp = threadIdx.x / 32;
  const unsigned group = threadIdx.x % 32 / 4;
  const unsigned member = threadIdx.x % 4;
  const std::uint64_t first = static_cast<std::uint64_t>(blockIdx.x) * kDecodingOutputs;
  const DecodedRow rows[2] = {DecodedRow::of(args, first + group), DecodedRow::of(args, first + group + 8)};
  const unsigned column = (warp * 4 + member) * chunk;

  float sums[Tiles][4] = {};
  DecodingStep<Format, Tiles> now;
  now.load(args, rows, group, column);
  for (unsigned at = 0; at < args.k; at += step) {
    DecodingStep<Format, Tiles> next;
    next.load(args, rows, group, column + at + step);  // under way while this one is multiplied
    now.multiply(decode, sums);
    now = next;
  }
  store_sums<kDecodingWarps, Tiles>(args, sums, parts, first);
}

template <class Format>
void launch_decoding_rows(DecodingArgs args, cudaStream_t stream) {
  if (args.m == 0 || args.n == 0) return;
  if constexpr (kHasLevels<Format>) {
    if (levels_fit<Format>(args)) return launch_level_rows<Format>(args, stream);
  }
  if constexpr (kScalesSums<Format> && Format::kGrid == ScaleGrid::row) args.row_scales = reinterpret_cast<const float*>(args.scales);
  const auto blocks = static_cast<unsigned>((args.n + kDecodingOutputs - 1) / kDecodingOutputs);
  if (args.m <= kTileRows) {
    decoding_rows_kernel<Format, 1><<<blocks, kDecodingWarps * 32, 0, stream>>>(args);
  } else {
    decoding_rows_kernel<Format, 2><<<blocks, kDecodingWarps * 32, 0, stream>>>(args);
  }
  check_launch("start a decoding product");
}

}  // namespace halftone::cuda
