#pragma once

// Decoding products of formats whose codes of four bits are levels.  A byte of codes becomes two levels of BF16 by one look into
// a table.  Where at least 64 columns have one scale, the tensor cores multiply levels, and their sums are multiplied with the
// scale.  Where 16 have one, with another above them, levels are multiplied with it before: those of NVFP4 and its scales have
// so few bits that this is exact.

#include "formats/format_traits.hpp"
#include "kernels/codes.cuh"
#include "linear/tensor_core.cuh"
#include "runtime/check.hpp"

namespace halftone::cuda {

template <class Format>
constexpr bool kHasLevels = kNibbles<Format> && !formats::RowScaled<Format>;

constexpr unsigned kLevelWarps = 8;
/// Columns of which four threads have 16 each.
constexpr unsigned kLevelColumns = 64;
/// Such runs of columns that a warp has at once.
constexpr unsigned kLevelRuns = 2;
/// Blocks on a multiprocessor, as far as registers go; each has a table of 32 KiB.
template <int Tiles>
constexpr unsigned kLevelBlocks = Tiles == 1 ? 3 : 2;

/// The levels of the two codes of each byte, in BF16, once for each lane: no two threads of a warp meet in a bank.
struct LevelTable {
  std::uint32_t pairs[256][32];

  /// All threads of the block must call it.
  template <class Format>
  __device__ void fill(float (&levels)[16]) {
    if (threadIdx.x < 16) levels[threadIdx.x] = Format::decode(static_cast<std::uint8_t>(threadIdx.x), 1.0F);
    __syncthreads();
    constexpr bool high_first = formats::kPackingOf<Format> == formats::Packing::high_nibble_first;
    for (unsigned byte = threadIdx.x / 32; byte < 256; byte += kLevelWarps) {
      const float low = levels[byte & 15U];
      const float high = levels[byte >> 4];
      pairs[byte][threadIdx.x % 32] = high_first ? bf16_pair(high, low) : bf16_pair(low, high);
    }
    __syncthreads();
  }
};

/// a · b of two pairs of BF16.
__device__ inline std::uint32_t multiplied_pairs(std::uint32_t a, std::uint32_t b) {
  constexpr std::uint32_t negative_zeros = 0x8000'8000U;  // added to anything they change nothing
  std::uint32_t product = 0;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(product) : "r"(a), "r"(b), "r"(negative_zeros));
  return product;
}

/// What a thread has of two rows of the weight, and of the inputs, at the same columns.
template <class Format, int Tiles>
struct LevelStep {
  static constexpr bool kScalesLevels = formats::TwoLevel<Format>;
  uint2 codes[2][kLevelRuns];
  float scales[2][kLevelRuns];
  uint4 inputs[Tiles][kLevelRuns][2];

  /// `column`: the first of the warp's, which may lie behind the last; then all is 0.
  __device__ void load(const DecodingArgs& args, const DecodedRow (&rows)[2], unsigned column) {
    const unsigned group = threadIdx.x % 32 / 4;
    const unsigned member = threadIdx.x % 4;
#pragma unroll
    for (unsigned run = 0; run < kLevelRuns; ++run) {
      const unsigned at = column + run * kLevelColumns + member * (kLevelColumns / 4);
      const bool inside = at < args.k;
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        codes[r][run] = inside ? __ldg(reinterpret_cast<const uint2*>(rows[r].codes + at / 2)) : make_uint2(0, 0);
        scales[r][run] = inside ? scale_at(args, rows[r].first_scale + (at >> args.group_shift)) : 0.0F;
      }
#pragma unroll
      for (int tile = 0; tile < Tiles; ++tile) {
        const unsigned row = tile * kTileRows + group;
        const bool exists = inside && row < args.m;
        const auto* from = reinterpret_cast<const uint4*>(args.x + row * args.k + at);
        inputs[tile][run][0] = exists ? __ldg(from) : make_uint4(0, 0, 0, 0);
        inputs[tile][run][1] = exists ? __ldg(from + 1) : make_uint4(0, 0, 0, 0);
      }
    }
  }

  /// Of a group, without that of the whole weight.
  [[nodiscard]] static __device__ float scale_at(const DecodingArgs& args, std::uint64_t group) {
    const auto stored = __ldg(reinterpret_cast<const formats::StoredScale<Format>*>(args.scales) + group);
    return formats::decode_operand<Format>(stored, 1.0F);
  }

  /// `lane_table`: the table of this lane.
  __device__ void multiply(const std::uint32_t* lane_table, float (&sums)[Tiles][4]) const {
#pragma unroll
    for (unsigned run = 0; run < kLevelRuns; ++run) {
      float of_run[Tiles][4] = {};
      const std::uint32_t factors[2] = {bf16_pair(scales[0][run], scales[0][run]), bf16_pair(scales[1][run], scales[1][run])};
#pragma unroll
      for (unsigned j = 0; j < 4; ++j) {
        std::uint32_t a[4];
#pragma unroll
        for (unsigned half = 0; half < 2; ++half) {
#pragma unroll
          for (unsigned r = 0; r < 2; ++r) {
            const std::uint32_t word = j < 2 ? codes[r][run].x : codes[r][run].y;
            a[2 * half + r] = lane_table[(word >> (j % 2 * 16 + half * 8) & 255U) * 32];
            if constexpr (kScalesLevels) a[2 * half + r] = multiplied_pairs(a[2 * half + r], factors[r]);
          }
        }
#pragma unroll
        for (int tile = 0; tile < Tiles; ++tile) {
          const uint4 four = inputs[tile][run][j / 2];
          multiply_tile(of_run[tile], a, j % 2 == 0 ? four.x : four.z, j % 2 == 0 ? four.y : four.w);
        }
      }
#pragma unroll
      for (int tile = 0; tile < Tiles; ++tile) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          sums[tile][i] = __fmaf_rn(of_run[tile][i], kScalesLevels ? 1.0F : scales[i / 2][run], sums[tile][i]);
        }
      }
    }
  }
};

template <class Format, int Tiles>
__global__ void __launch_bounds__(kLevelWarps * 32, kLevelBlocks<Tiles>) level_rows_kernel(DecodingArgs args) {
  extern __shared__ uint4 dynamic_shared[];
  auto* table = reinterpret_cast<LevelTable*>(dynamic_shared);
  __shared__ float levels[16];
  __shared__ SumParts<kLevelWarps, Tiles> parts;
  table->template fill<Format>(levels);
  const std::uint32_t* lane_table = &table->pairs[0][threadIdx.x % 32];
  constexpr unsigned step = kLevelWarps * kLevelRuns * kLevelColumns;
  const unsigned column = threadIdx.x / 32 * (kLevelRuns * kLevelColumns);
  const unsigned group = threadIdx.x % 32 / 4;
  for (std::uint64_t first = static_cast<std::uint64_t>(blockIdx.x) * kDecodingOutputs; first < args.n;
       first += static_cast<std::uint64_t>(gridDim.x) * kDecodingOutputs) {
    const DecodedRow rows[2] = {DecodedRow::of(args, first + group), DecodedRow::of(args, first + group + 8)};
    float sums[Tiles][4] = {};
    LevelStep<Format, Tiles> now;
    now.load(args, rows, column);
    for (unsigned at = 0; at < args.k; at += step) {
      LevelStep<Format, Tiles> next;
      next.load(args, rows, column + at + step);  // under way while this one is multiplied
      now.multiply(lane_table, sums);
      now = next;
    }
    store_sums(args, sums, parts, first);
    __syncthreads();  // the parts are free again
  }
}

/// Whether the columns of a thread have one scale, or runs of 64 have.
template <class Format>
[[nodiscard]] bool levels_fit(const DecodingArgs& args) {
  return args.k % kLevelColumns == 0 && (formats::TwoLevel<Format> ? args.group_shift == 4 : args.group_shift >= 6);
}

template <class Format, int Tiles>
void launch_level_tiles(const DecodingArgs& args, cudaStream_t stream) {
  constexpr auto kernel = level_rows_kernel<Format, Tiles>;
  int device = 0;
  int processors = 0;
  check(cudaGetDevice(&device), "ask for the current device");
  check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device), "ask for the size of a device");
  const std::uint64_t wanted = (args.n + kDecodingOutputs - 1) / kDecodingOutputs;
  const std::uint64_t most = static_cast<std::uint64_t>(processors) * kLevelBlocks<Tiles>;
  kernel<<<static_cast<unsigned>(wanted < most ? wanted : most), kLevelWarps * 32, sizeof(LevelTable), stream>>>(args);
  check_launch("start a decoding product");
}

template <class Format>
void launch_level_rows(DecodingArgs args, cudaStream_t stream) {
  if constexpr (formats::TwoLevel<Format>) args.sum_scale = args.tensor_scale;
  if (args.m <= kTileRows) return launch_level_tiles<Format, 1>(args, stream);
  launch_level_tiles<Format, 2>(args, stream);
}

}  // namespace halftone::cuda
