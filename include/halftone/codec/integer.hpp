#pragma once

#include <halftone/codec/device.hpp>
#include <halftone/codec/hd.hpp>

namespace halftone::codec {

/// Signed integers of `Bits` bits in two's complement, in ±(2^(Bits-1) - 1); the smallest code, one
/// further down, decodes but is never produced.
template <int Bits>
struct SignedInteger {
  static constexpr std::uint32_t kMask = (1U << Bits) - 1U;

  [[nodiscard]] static HALFTONE_HD constexpr float max_value() { return static_cast<float>((1 << (Bits - 1)) - 1); }

  /// The code in the low bits: clamps to ±max_value(), then rounds to nearest, ties to even.  `value` must not be NaN.
  [[nodiscard]] static HALFTONE_HD constexpr std::uint32_t encode_saturating(float value) {
#if HALFTONE_DEVICE_CONVERSIONS
    if (!__builtin_is_constant_evaluated()) return device::to_integer(value, max_value()) & kMask;
#endif
    const std::uint32_t all = bits(value);
    const std::uint32_t mag = all & kMagnitudeMask;
    const std::uint32_t max_bits = bits(max_value());
    const float clamped = from_bits((mag < max_bits ? mag : max_bits) | (all & kSignMask));
    return (bits(clamped + kMagic) - bits(kMagic)) & kMask;
  }

  /// decode(encode_saturating(mag)) without the code between; `mag` is at least 0.
  [[nodiscard]] static HALFTONE_HD constexpr float round_magnitude(float mag) {
    const float bounded = mag < max_value() ? mag : max_value();
    return (bounded + kMagic) - kMagic;
  }

  /// The code plus `Added` in the low bits, and others above them, of a value that rounds to a magnitude of at most
  /// max_value().  `Added` is even, so that ties stay ties to even.
  template <int Added = 0>
  [[nodiscard]] static HALFTONE_HD std::uint32_t encode_within(float value) {
    static_assert(Added % 2 == 0);
    constexpr float magic = 12582912.0F + static_cast<float>(Added);
    return bits(value + magic);
  }

  /// The value of the low bits of `code`.
  [[nodiscard]] static HALFTONE_HD constexpr float decode(std::uint8_t code) {
    constexpr int unused = 32 - Bits;
    return static_cast<float>(static_cast<std::int32_t>(static_cast<std::uint32_t>(code) << unused) >> unused);
  }

 private:
  /// 1.5 * 2^23: the unit in the last place is 1, so the float adder rounds to an integer.
  static constexpr float kMagic = 12582912.0F;
};

/// "I8": ±127.
using Int8 = SignedInteger<8>;

/// Half a byte: ±7.
using Int4 = SignedInteger<4>;

}  // namespace halftone::codec
