#pragma once

#include <halftone/codec/device.hpp>
#include <halftone/codec/hd.hpp>

namespace halftone::codec {

/// bfloat16: the upper half of a binary32.
struct Bf16 {
  [[nodiscard]] static HALFTONE_HD constexpr float decode(std::uint16_t code) { return from_bits(static_cast<std::uint32_t>(code) << 16); }

  /// Rounds to nearest, ties to even; NaN becomes a quiet NaN of the same sign.
  [[nodiscard]] static HALFTONE_HD constexpr std::uint16_t encode(float value) {
    const std::uint32_t all = bits(value);
    const std::uint32_t rounded = (all + 0x7FFFU + ((all >> 16) & 1U)) >> 16;
    const std::uint32_t nan = ((all >> 16) & 0x8000U) | 0x7FC0U;
#if HALFTONE_DEVICE_CONVERSIONS
    if (!__builtin_is_constant_evaluated()) return value == value ? device::to_bf16(value) : static_cast<std::uint16_t>(nan);
#endif
    return static_cast<std::uint16_t>((all & kMagnitudeMask) > kInfinityBits ? nan : rounded);
  }

  /// encode() of what is not NaN.
  [[nodiscard]] static HALFTONE_HD std::uint16_t encode_number(float value) {
#if HALFTONE_DEVICE_CONVERSIONS
    return device::to_bf16(value);
#else
    return encode(value);
#endif
  }
};

/// IEEE binary16.
struct F16 {
  /// Exact.  Subnormals go through an integer conversion: a float subnormal on the way would
  /// cost a microcode assist on x86.
  [[nodiscard]] static HALFTONE_HD constexpr float decode(std::uint16_t code) {
    const std::uint32_t mag = code & 0x7FFFU;
    const std::uint32_t sign = static_cast<std::uint32_t>(code & 0x8000U) << 16;
#if HALFTONE_DEVICE_CONVERSIONS
    if (!__builtin_is_constant_evaluated()) return mag > 0x7C00U ? from_bits((mag << 13) | 0x7F80'0000U | sign) : device::from_f16(code);
#endif
    const std::uint32_t rebias = mag >= 0x7C00U ? 2U * (112U << 23) : 112U << 23;
    const std::uint32_t normal = (mag << 13) + rebias;
    constexpr float step = 0x1p-24F;
    const std::uint32_t subnormal = bits(static_cast<float>(static_cast<std::int32_t>(mag)) * step);
    return from_bits((mag < 0x0400U ? subnormal : normal) | sign);
  }

  /// Rounds to nearest, ties to even; overflow gives infinity, NaN a quiet NaN of the same sign.
  [[nodiscard]] static HALFTONE_HD constexpr std::uint16_t encode(float value) {
    const std::uint32_t all = bits(value);
    const std::uint32_t mag = all & kMagnitudeMask;
    const auto sign = static_cast<std::uint16_t>((all >> 16) & 0x8000U);
    if (mag > kInfinityBits) return static_cast<std::uint16_t>(sign | 0x7E00U);
#if HALFTONE_DEVICE_CONVERSIONS
    if (!__builtin_is_constant_evaluated()) return device::to_f16(value);
#endif
    if (mag >= 0x477F'F000U) return static_cast<std::uint16_t>(sign | 0x7C00U);  // 65520 and above
    const std::uint32_t normal = ((mag + 0xFFFU + ((mag >> 13) & 1U)) >> 13) - (112U << 10);
    constexpr std::uint32_t magic = 126U << 23;  // 0.5, whose unit in the last place is 2^-24
    const std::uint32_t subnormal = bits(from_bits(mag) + from_bits(magic)) - magic;
    return static_cast<std::uint16_t>((mag < 0x3880'0000U ? subnormal : normal) | sign);
  }

  /// encode() of what is not NaN.
  [[nodiscard]] static HALFTONE_HD std::uint16_t encode_number(float value) {
#if HALFTONE_DEVICE_CONVERSIONS
    return device::to_f16(value);
#else
    return encode(value);
#endif
  }
};

}  // namespace halftone::codec
