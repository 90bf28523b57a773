#pragma once

#include <cmath>
#include <cstdint>

#include <halftone/codec/hd.hpp>

namespace halftone::formats {

// The rotation that ComfyUI calls ConvRot: a row, cut into groups of a power of 4, times the normalised
// regular Hadamard matrix H of that size, the Kronecker power of
//
//   1/2 · [1 1 1 -1; 1 1 -1 1; 1 -1 1 1; -1 1 1 1]
//
// H is symmetric and orthogonal: rotating twice gives the original, up to rounding.

/// The largest group that files are known to have.
inline constexpr std::uint32_t kMostRotationGroup = 4096;

/// Whether groups of this size can be rotated: a power of 4 from 4 to kMostRotationGroup.
[[nodiscard]] constexpr bool is_rotation_group(std::uint32_t size) {
  std::uint32_t power = 4;
  while (power < size && power < kMostRotationGroup) power *= 4;
  return power == size;
}

/// Whether each factor of H halves its sums.  Where it does not, the values are 2^stages times as large.
///
/// Values of BF16 or F16 may instead be multiplied with 2^-stages beforehand, or by the last factor (rotate_four_last()),
/// which gives the same bits: they are multiples of 2^-133, so that sums of theirs, up to kMostRotationGroup of them and
/// halved six times, are multiples of 2^-139 and never lose bits to the 2^-149 of subnormal numbers.  By the last factor
/// only where the sums stay finite.
enum class Halving : std::uint8_t { each_factor, elsewhere };

/// One factor of H on four values `Stride` apart.  Sums run from left to right in binary32, where b - a + c is
/// c - (a - b), bit for bit; the halving is exact but for subnormal sums.
template <std::uint32_t Stride, Halving When = Halving::each_factor>
HALFTONE_HD void rotate_four(float* x) {
  const float a = x[0];
  const float b = x[Stride];
  const float c = x[2 * Stride];
  const float d = x[3 * Stride];
  constexpr float factor = When == Halving::each_factor ? 0.5F : 1.0F;
  const float sum = a + b;
  const float difference = a - b;
  x[0] = (sum + c - d) * factor;
  x[Stride] = (sum - c + d) * factor;
  x[2 * Stride] = (difference + c + d) * factor;
  x[3 * Stride] = (c - difference + d) * factor;
}

/// The last factor, which multiplies with `factor`, a power of two: a product that is exact, and so no rounding more.
template <std::uint32_t Stride>
HALFTONE_HD void rotate_four_last(float* x, float factor) {
  const float a = x[0];
  const float b = x[Stride];
  const float c = x[2 * Stride];
  const float d = x[3 * Stride] * factor;
  const float sum = a + b;
  const float difference = a - b;
  x[0] = std::fma(sum + c, factor, -d);
  x[Stride] = std::fma(sum - c, factor, d);
  x[2 * Stride] = std::fma(difference + c, factor, d);
  x[3 * Stride] = std::fma(c - difference, factor, d);
}

/// The factors with strides Stride, 4 · Stride, … on a group of `Size` values, in that order: the
/// order that comfy-kitchen's kernels have.
template <std::uint32_t Size, std::uint32_t Stride = 1, Halving When = Halving::each_factor>
HALFTONE_HD void rotate_group(float* x) {
  if constexpr (Stride < Size) {
    for (std::uint32_t first = 0; first < Size; first += 4 * Stride) {
      for (std::uint32_t i = 0; i < Stride; ++i) rotate_four<Stride, When>(x + first + i);
    }
    rotate_group<Size, 4 * Stride, When>(x);
  }
}

template <std::uint32_t Size>
HALFTONE_HD void rotate_groups_of(float* x, std::uint64_t n) {
  for (std::uint64_t first = 0; first < n; first += Size) rotate_group<Size>(x + first);
}

/// Rotates groups of `group` values of `n`, a multiple of it; is_rotation_group(group) must hold.
HALFTONE_HD void rotate_groups(float* x, std::uint64_t n, std::uint32_t group) {
  switch (group) {
    case 4: return rotate_groups_of<4>(x, n);
    case 16: return rotate_groups_of<16>(x, n);
    case 64: return rotate_groups_of<64>(x, n);
    case 256: return rotate_groups_of<256>(x, n);
    case 1024: return rotate_groups_of<1024>(x, n);
    case 4096: return rotate_groups_of<4096>(x, n);
    default: return;  // not reached: whoever sets a group has asked is_rotation_group()
  }
}

}  // namespace halftone::formats
