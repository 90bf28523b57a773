#pragma once

// The tiles of decoding products: 16 rows of the weight, which a block of warps shares, and 8 or 16 rows of inputs.

#include "kernels/sources.cuh"
#include "linear/decoding_launches.hpp"

namespace halftone::cuda {

/// Rows of the weight in a tile.
constexpr unsigned kDecodingOutputs = 16;
/// Rows of inputs in a tile.
constexpr unsigned kTileRows = 8;

__device__ inline std::uint32_t bf16_pair(float low, float high) {
  std::uint32_t pair = 0;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

/// sums += a · b: a tile of 16 × 16 weights, 16 × 8 inputs.
__device__ inline void multiply_tile(float (&sums)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// Where a row of the weight lies.
struct DecodedRow {
  const std::uint8_t* codes;
  std::uint64_t first_scale;

  [[nodiscard]] static __device__ DecodedRow of(const DecodingArgs& args, std::uint64_t row) {
    const std::uint64_t known = min(row, args.n - 1);  // rows behind the last repeat it, and are not stored
    return {args.codes + known * args.code_pitch, known / args.group_rows * args.groups_across};
  }
};

/// What each warp of a block has summed up.
template <unsigned Warps, int Tiles>
struct SumParts {
  float of[Warps][kDecodingOutputs][Tiles * kTileRows];
};

/// Adds what the warps of a block have, in their order, and stores the outputs of the rows of the weight from `first` on.  All
/// threads of the block must call it.
template <unsigned Warps, int Tiles>
__device__ void store_sums(const DecodingArgs& args, const float (&sums)[Tiles][4], SumParts<Warps, Tiles>& parts, std::uint64_t first) {
  const unsigned warp = threadIdx.x / 32;
  const unsigned group = threadIdx.x % 32 / 4;
  const unsigned member = threadIdx.x % 4;
#pragma unroll
  for (int tile = 0; tile < Tiles; ++tile) {
#pragma unroll
    for (int i = 0; i < 4; ++i) parts.of[warp][group + i / 2 * 8][tile * kTileRows + member * 2 + i % 2] = sums[tile][i];
  }
  __syncthreads();
  for (unsigned i = threadIdx.x; i < kDecodingOutputs * Tiles * kTileRows; i += Warps * 32) {
    const std::uint64_t output = first + i % kDecodingOutputs;
    const unsigned row = i / kDecodingOutputs;
    if (output >= args.n || row >= args.m) continue;
    float sum = 0.0F;
#pragma unroll
    for (unsigned w = 0; w < Warps; ++w) sum += parts.of[w][i % kDecodingOutputs][row];
    if (args.sum_scale != nullptr) sum *= *args.sum_scale;
    if (args.row_scales != nullptr) sum *= args.row_scales[output];
    if (args.bias != nullptr) sum += args.bias[output];
    if (args.y_is_f32) {
      static_cast<float*>(args.y)[row * args.n + output] = sum;
    } else {
      static_cast<std::uint16_t*>(args.y)[row * args.n + output] = Bf16::encode(sum);
    }
  }
}

}  // namespace halftone::cuda
