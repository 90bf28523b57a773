#pragma once

// What a thread does with a line of rotated weights that has a fitted scale, under a scale for its row (formats::RowScaled).

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
  if (reinterpret_cast<std::uintptr_t>(from) % sizeof(float) == 0) return *reinterpret_cast<const float*>(from);
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

/// The tables as they lie in device memory, and in the shared memory of a block: at the beginning of the dynamic one, where
/// every function finds them.
template <class Format>
__device__ constexpr formats::LevelCells<Format> kLevelCells = formats::LevelCells<Format>::made();
template <class Format>
[[nodiscard]] __device__ inline formats::LevelCells<Format>& shared_cells() {
  extern __shared__ uint4 dynamic_shared[];
  return *reinterpret_cast<formats::LevelCells<Format>*>(dynamic_shared);
}
template <class Format>
constexpr unsigned kCellsVectors = (sizeof(formats::LevelCells<Format>) + 127) / 128 * 8;

/// Begins to copy the tables to shared memory; `thread` of `threads` of the block.
template <class Format>
__device__ void fetch_cells(unsigned thread, unsigned threads) {
  constexpr unsigned vectors = sizeof(formats::LevelCells<Format>) / kVectorBytes;
  static_assert(sizeof(formats::LevelCells<Format>) % kVectorBytes == 0);
  auto* to = reinterpret_cast<uint4*>(&shared_cells<Format>());
  const auto* from = reinterpret_cast<const uint4*>(&kLevelCells<Format>);
  for (unsigned i = thread; i < vectors; i += threads) __pipeline_memcpy_async(to + i, from + i, kVectorBytes);
}

/// Format::fit() of a line that LevelCells does not serve, which is rare: out of the way of the others.
template <class Format>
__device__ __noinline__ float fit_any(Team team, unsigned group, float* largest) {
  float weights[kLineElements];
  team.load_line(group, weights);
  return Format::fit(weights, kLineElements, *largest);
}

/// LevelCells::fit() of a line where a weight lies close to a limit.
template <class Format>
__device__ __noinline__ float rare_fit(Team team, unsigned group, float least, float most, float* largest) {
  const formats::LevelCells<Format>& cells = shared_cells<Format>();
  float weights[kLineElements];
  team.load_line(group, weights);
  return cells.fit(weights, least, most, *largest);
}

/// The fitted scale of a line, whose weights are `x`; raises `largest`.
template <class Format>
[[nodiscard]] __device__ float fit_line(const formats::LevelCells<Format>& cells, const Team& team, unsigned group,
                                        const float (&x)[kLineElements], const Extremes& extremes, float& largest) {
  if (extremes.largest() < codec::bits(formats::LevelCells<Format>::kLargest)) {
    const float least = -codec::from_bits(extremes.below);
    const float most = codec::from_bits(extremes.above);
    const auto likely = cells.likely_fit(x, least, most);
    if (likely.close) return rare_fit<Format>(team, group, least, most, &largest);
    return cells.raised(likely.scale, least, most, largest);
  }
  float found = largest;
  const float scale = fit_any<Format>(team, group, &found);
  largest = found;
  return scale;
}

/// Brings the weights of a line to units of the row's scale.
__device__ inline void divide_line(float (&x)[kLineElements], float row_scale) {
#pragma unroll
  for (float& weight : x) weight /= row_scale;
}

/// The squared error of a line with `scale`, all in units of the row's scale.
template <class Format>
[[nodiscard]] __device__ float line_error(const formats::LevelCells<Format>& cells, const float (&weights)[kLineElements], float scale) {
  using Cells = formats::LevelCells<Format>;
  float errors[kLineElements];
  if (Cells::serves(scale)) {
    const float inverse = __fdividef(Cells::kCodeFactor, scale);
#pragma unroll
    for (unsigned i = 0; i < kLineElements; ++i) {
      const float difference = cells.template code<true>(weights[i], scale, inverse).value - weights[i];
      errors[i] = difference * difference;
    }
  } else {
#pragma unroll
    for (unsigned i = 0; i < kLineElements; ++i) {
      const float difference = Format::decode(static_cast<std::uint8_t>(Format::encode(weights[i], scale)), scale) - weights[i];
      errors[i] = difference * difference;
    }
  }
  return sum_of_lanes(errors);
}

/// Of the scales that a search may choose for a line, whose fitted scale is `wanted`, that of least error.
template <class Format>
[[nodiscard]] __device__ auto searched_scale(const formats::LevelCells<Format>& cells, const float (&weights)[kLineElements],
                                             float wanted) {
  auto best = Format::scale_from_amax(wanted);
  float least = line_error<Format>(cells, weights, best.encode);
#pragma unroll 1
  for (int i = 1; i < formats::kCandidatesOf<Format>; ++i) {
    const auto scale = formats::candidate_scale<Format>(wanted, 1.0F, i);
    const float error = line_error<Format>(cells, weights, scale.encode);
    if (!(error < least)) continue;
    least = error;
    best = scale;
  }
  return best;
}

/// The low bytes of four words.
[[nodiscard]] __device__ inline std::uint32_t low_bytes(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  return __byte_perm(__byte_perm(a, b, 0x0040), __byte_perm(c, d, 0x0040), 0x5410);
}

/// The codes of a line in units of its row's scale, eight to a word, the first lowest.  `Beyond`: whether weights may exceed
/// what `scale` was fitted to.
template <class Format, bool Beyond>
__device__ void exact_codes(const formats::LevelCells<Format>& cells, const float (&weights)[kLineElements], float scale,
                            std::uint32_t (&words)[2]) {
  using Cells = formats::LevelCells<Format>;
  words[0] = words[1] = 0;
  if (Cells::serves(scale)) {
    const float inverse = __fdividef(Cells::kCodeFactor, scale);
#pragma unroll
    for (unsigned i = 0; i < kLineElements; ++i) {
      words[i / 8] |= cells.template code<Beyond>(weights[i], scale, inverse).times_4 >> 2 << i % 8 * 4;
    }
  } else {
#pragma unroll
    for (unsigned i = 0; i < kLineElements; ++i) words[i / 8] |= Format::encode(weights[i], scale) << i % 8 * 4;
  }
}

/// The same where all are likely; false where one is not.
template <class Format>
[[nodiscard]] __device__ bool likely_codes(const formats::LevelCells<Format>& cells, const float (&x)[kLineElements], float row_scale,
                                           const formats::ByteScale& scale, std::uint32_t (&words)[2]) {
  using Cells = formats::LevelCells<Format>;
  const float row_inverse = codec::ordinary_quotient(1.0F, row_scale);
  const float inverse = codec::ordinary_quotient(Cells::kLikelyFactor * row_inverse, scale.encode);
  const std::uint32_t row = Cells::likely_row(scale.stored);
  float apart = 1.0F;
#pragma unroll
  for (unsigned w = 0; w < 2; ++w) {
    std::uint32_t likely[8];
#pragma unroll
    for (unsigned i = 0; i < 8; ++i) {
      const auto code = cells.likely_code(x[w * 8 + i], row_inverse, row, inverse);
      likely[i] = code.word;
      apart = fminf(apart, fabsf(code.apart));
    }
    constexpr std::uint32_t low = 0x0F0F'0F0FU;
    constexpr std::uint32_t inverted = 0x8888'8888U;
    const std::uint32_t even = low_bytes(likely[0], likely[2], likely[4], likely[6]);
    const std::uint32_t odd = low_bytes(likely[1], likely[3], likely[5], likely[7]);
    words[w] = ((even & low) | (odd << 4 & ~low)) ^ inverted;
  }
  return apart >= Cells::kClose;
}

/// The exact codes of a line that likely_codes() does not serve, which is rare: out of the way of the others.
template <class Format>
__device__ __noinline__ uint2 rare_codes(Team team, unsigned group, float row_scale, float scale) {
  float x[kLineElements];
  team.load_line(group, x);
  divide_line(x, row_scale);
  std::uint32_t words[2];
  exact_codes<Format, false>(shared_cells<Format>(), x, scale, words);
  return make_uint2(words[0], words[1]);
}

/// The codes of a line, whose weights are `x`, eight to a word.
template <class Format>
__device__ void line_codes(const formats::LevelCells<Format>& cells, const Team& team, unsigned group, const float (&x)[kLineElements],
                           float row_scale, const formats::ByteScale& scale, std::uint32_t (&words)[2]) {
  if (formats::LevelCells<Format>::is_likely(scale.encode) && likely_codes<Format>(cells, x, row_scale, scale, words)) return;
  const uint2 rare = rare_codes<Format>(team, group, row_scale, scale.encode);
  words[0] = rare.x;
  words[1] = rare.y;
}

/// The scale of a line, of its fitted one, and its codes.
template <class Format, bool Search>
[[nodiscard]] __device__ auto encode_line(const formats::LevelCells<Format>& cells, const Team& team, unsigned group, float row_scale,
                                          float fitted, std::uint32_t (&words)[2]) {
  static_assert(formats::kPackingOf<Format> == formats::Packing::low_nibble_first);
  float x[kLineElements];
  team.load_line(group, x);
  const float wanted = codec::ordinary_quotient(fitted, row_scale);
  if constexpr (Search) {
    divide_line(x, row_scale);
    const auto scale = searched_scale<Format>(cells, x, wanted);
    exact_codes<Format, true>(cells, x, scale.encode, words);
    return scale;
  } else {
    const auto scale = Format::scale_from_amax(wanted);
    line_codes<Format>(cells, team, group, x, row_scale, scale, words);
    return scale;
  }
}

}  // namespace halftone::cuda
