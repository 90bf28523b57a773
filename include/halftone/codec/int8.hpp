#pragma once

#include <halftone/codec/hd.hpp>

namespace halftone::codec {

/// Signed 8-bit integers in [-127, 127]; -128 decodes but is never produced.
struct Int8 {
  [[nodiscard]] static HALFTONE_HD constexpr float max_value() { return 127.0F; }

  /// The code in the low byte: clamps to ±127, then rounds to nearest, ties to even.  `value` must not be NaN.
  [[nodiscard]] static HALFTONE_HD constexpr std::uint32_t encode_saturating(float value) {
    const std::uint32_t all = bits(value);
    const std::uint32_t mag = all & kMagnitudeMask;
    const std::uint32_t max_bits = bits(max_value());
    const float clamped = from_bits((mag < max_bits ? mag : max_bits) | (all & kSignMask));
    // 1.5 * 2^23: the unit in the last place is 1, so the float adder rounds to an integer.
    constexpr float magic = 12582912.0F;
    return (bits(clamped + magic) - bits(magic)) & 0xFFU;
  }

  [[nodiscard]] static HALFTONE_HD constexpr float decode(std::uint8_t code) { return static_cast<float>(static_cast<std::int8_t>(code)); }
};

}  // namespace halftone::codec
