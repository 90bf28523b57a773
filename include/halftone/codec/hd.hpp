#pragma once

#include <cstdint>

/// Marks a function that host and device share.  Always inlined on the host: the same function
/// is compiled for several instruction sets, and an out-of-line copy built for AVX-512 must not
/// be the one that the linker keeps for all of them.
#if defined(__CUDACC__)
#define HALFTONE_HD __host__ __device__ __forceinline__
#else
#define HALFTONE_HD inline __attribute__((always_inline))
#endif

namespace halftone::codec {

[[nodiscard]] HALFTONE_HD constexpr std::uint32_t bits(float value) { return __builtin_bit_cast(std::uint32_t, value); }
[[nodiscard]] HALFTONE_HD constexpr float from_bits(std::uint32_t value) { return __builtin_bit_cast(float, value); }

inline constexpr std::uint32_t kSignMask = 0x8000'0000U;
inline constexpr std::uint32_t kMagnitudeMask = 0x7FFF'FFFFU;
inline constexpr std::uint32_t kInfinityBits = 0x7F80'0000U;

/// |value| without touching NaN payloads.
[[nodiscard]] HALFTONE_HD constexpr float magnitude(float value) { return from_bits(bits(value) & kMagnitudeMask); }

/// The larger of two floats that are not NaN.
[[nodiscard]] HALFTONE_HD constexpr float larger(float a, float b) { return a > b ? a : b; }

}  // namespace halftone::codec
