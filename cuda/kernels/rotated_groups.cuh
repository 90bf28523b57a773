#pragma once

// The rotation of groups of 256 in registers: a team of threads turns two groups at a time.

#include <halftone/codec/hd.hpp>

#include "formats/rotation.hpp"
#include "kernels/access.cuh"
#include "kernels/magnitude.cuh"
#include "kernels/sources.cuh"

namespace halftone::cuda {

/// The groups that are rotated.
constexpr std::uint32_t kFusedRotationGroup = 256;
/// Elements of a line, and lines of a group.
constexpr unsigned kLineElements = 16;
/// Threads of a team, half a warp: each has a line of both groups, then two columns of one of them.
constexpr unsigned kRotationTeam = 16;
/// Elements of the groups of a team.
constexpr unsigned kPairElements = 2 * kFusedRotationGroup;
/// Shared memory of a team, in floats.  A group lies in its 256, the second one 16 behind the first, the next team 8 behind
/// that: then threads side by side use different banks, whether they hold lines, columns or codes.
constexpr unsigned kGroupFloats = 272;
constexpr unsigned kTeamFloats = 552;

/// The place of a team in shared memory, and that of a thread in its team.
class Team {
 public:
  /// `thread`: within the block.
  __device__ Team(void* shared, unsigned thread)
      : floats_(static_cast<float*>(shared) + thread / kRotationTeam * kTeamFloats), member_(thread % kRotationTeam) {}

  [[nodiscard]] __device__ unsigned member() const { return member_; }
  /// The group whose columns this thread has: 0 or 1.
  [[nodiscard]] __device__ unsigned group() const { return member_ / 8; }
  /// The first of its two columns, halved.
  [[nodiscard]] __device__ unsigned pair() const { return member_ % 8; }

  /// Four values of the line of this thread.
  [[nodiscard]] __device__ float4* quad(unsigned group, unsigned q) const {
    return reinterpret_cast<float4*>(floats_ + group * kGroupFloats) + member_ * 4 + (q ^ swizzle(member_));
  }
  /// Those of its columns in line `line`.
  [[nodiscard]] __device__ float2* columns(unsigned line) const {
    return reinterpret_cast<float2*>(floats_ + group() * kGroupFloats) + line * 8 + (pair() ^ swizzle(line) * 2);
  }
  /// The memory of a group, when no values lie there any more.
  [[nodiscard]] __device__ std::uint8_t* bytes(unsigned group) const {
    return reinterpret_cast<std::uint8_t*>(floats_ + group * kGroupFloats);
  }

  /// The line of this thread in a group; the columns must have been stored.
  __device__ void load_line(unsigned group, float (&x)[kLineElements]) const {
#pragma unroll
    for (unsigned q = 0; q < kLineElements / 4; ++q) {
      const float4 four = *quad(group, q);
      x[4 * q] = four.x;
      x[4 * q + 1] = four.y;
      x[4 * q + 2] = four.z;
      x[4 * q + 3] = four.w;
    }
  }
  __device__ void store_line(unsigned group, const float (&x)[kLineElements]) const {
#pragma unroll
    for (unsigned q = 0; q < kLineElements / 4; ++q) *quad(group, q) = make_float4(x[4 * q], x[4 * q + 1], x[4 * q + 2], x[4 * q + 3]);
  }
  __device__ void load_columns(float (&x)[2][kLineElements]) const {
#pragma unroll
    for (unsigned i = 0; i < kLineElements; ++i) {
      const float2 two = *columns(i);
      x[0][i] = two.x;
      x[1][i] = two.y;
    }
  }
  __device__ void store_columns(const float (&x)[2][kLineElements]) const {
#pragma unroll
    for (unsigned i = 0; i < kLineElements; ++i) *columns(i) = make_float2(x[0][i], x[1][i]);
  }

 private:
  /// Where in its line a quad lies is turned from line to line.
  [[nodiscard]] static __device__ unsigned swizzle(unsigned line) { return line >> 1 & 3U; }

  float* floats_;
  unsigned member_;
};

/// The lines of a thread as they were loaded.
template <class Source>
struct Lines {
  using Raw = typename Source::Raw;
  static constexpr int kWidth = kVectorElements<Raw>;
  static constexpr int kChunks = static_cast<int>(kLineElements) / kWidth;
  Chunk<Raw, kWidth> chunks[2][kChunks];

  /// The largest magnitude of the line in a group.
  [[nodiscard]] __device__ std::uint32_t largest(unsigned group) const {
    LargestMagnitude<Source> found;
#pragma unroll
    for (int k = 0; k < kChunks; ++k) found.add(chunks[group][k]);
    return found.bits();
  }
  __device__ void decode(unsigned group, float (&x)[kLineElements]) const {
#pragma unroll
    for (int k = 0; k < kChunks; ++k) {
      float values[kWidth];
      decode_chunk<Source>(chunks[group][k], values);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) x[k * kWidth + i] = values[i];
    }
  }
};

/// Rotates the groups whose lines the threads of a team have loaded, and leaves two columns in `x`.  Returns the bits of
/// the largest magnitude of the lines, before that.
template <class Source>
__device__ std::uint32_t rotate_lines(const Lines<Source>& lines, const Team& team, float (&x)[2][kLineElements]) {
  constexpr bool half = sizeof(typename Source::Raw) == 2;
  constexpr auto when = half ? formats::Halving::elsewhere : formats::Halving::each_factor;
  constexpr float all_halves = 0x1p-4F;
  // Sums of 256 such weights are finite.
  constexpr std::uint32_t too_large = codec::bits(0x1p119F);
  std::uint32_t largest[2];
  float factor[2];
#pragma unroll
  for (unsigned g = 0; g < 2; ++g) {
    float line[kLineElements];
    lines.decode(g, line);
    largest[g] = lines.largest(g);
    factor[g] = all_halves;
    if constexpr (std::is_same_v<Source, Bf16>) {
      if (__any_sync(0xFFFF'FFFFU, largest[g] >= too_large)) {
#pragma unroll
        for (float& value : line) value *= all_halves;
        factor[g] = 1.0F;
      }
    }
    formats::rotate_group<16, 1, when>(line);
    team.store_line(g, line);
  }
  __syncwarp();
  team.load_columns(x);
  [[maybe_unused]] const float last = team.group() == 0 ? factor[0] : factor[1];
#pragma unroll
  for (auto& column : x) {
    if constexpr (half) {
#pragma unroll
      for (unsigned i = 0; i < 4; ++i) formats::rotate_four<1, when>(column + 4 * i);
#pragma unroll
      for (unsigned i = 0; i < 4; ++i) formats::rotate_four_last<4>(column + i, last);
    } else {
      formats::rotate_group<16, 1, when>(column);
    }
  }
  return max(largest[0], largest[1]);
}

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

}  // namespace halftone::cuda
