#pragma once

#include <cstdint>

#include <halftone/codec/hd.hpp>

namespace halftone::formats {

// The rotation that ComfyUI calls ConvRot: a row, cut into groups of a power of 4, times the normalised
// regular Hadamard matrix H of that size, the Kronecker power of
//
//   1/2 · [1 1 1 -1; 1 1 -1 1; 1 -1 1 1; -1 1 1 1]
//
// H is symmetric and orthogonal: rotating twice gives the original, up to rounding.

/// The largest group.
inline constexpr std::uint32_t kMostRotationGroup = 256;

/// One factor of H on four values `Stride` apart.  Sums run from left to right in binary32; the
/// halving is exact.
template <std::uint32_t Stride>
HALFTONE_HD void rotate_four(float* x) {
  const float a = x[0];
  const float b = x[Stride];
  const float c = x[2 * Stride];
  const float d = x[3 * Stride];
  x[0] = (a + b + c - d) * 0.5F;
  x[Stride] = (a + b - c + d) * 0.5F;
  x[2 * Stride] = (a - b + c + d) * 0.5F;
  x[3 * Stride] = (b - a + c + d) * 0.5F;
}

/// The factors with strides Stride, 4 · Stride, … on a group of `Size` values, in that order: the
/// order that comfy-kitchen's kernels have.
template <std::uint32_t Size, std::uint32_t Stride = 1>
HALFTONE_HD void rotate_group(float* x) {
  if constexpr (Stride < Size) {
    for (std::uint32_t first = 0; first < Size; first += 4 * Stride) {
      for (std::uint32_t i = 0; i < Stride; ++i) rotate_four<Stride>(x + first + i);
    }
    rotate_group<Size, 4 * Stride>(x);
  }
}

/// Rotates groups of `group` values (16, 64 or 256) of `n`, a multiple of it.
HALFTONE_HD void rotate_groups(float* x, std::uint64_t n, std::uint32_t group) {
  for (std::uint64_t first = 0; first < n; first += group) {
    if (group == 16) rotate_group<16>(x + first);
    if (group == 64) rotate_group<64>(x + first);
    if (group == 256) rotate_group<256>(x + first);
  }
}

}  // namespace halftone::formats
