#pragma once

#include <halftone/codec/hd.hpp>

namespace halftone::codec {

/// E8M0, the scales of the OCP MX formats: byte b is 2^(b - 127).  Byte 0 decodes as 0, as in
/// comfy-kitchen and convert_to_quant (hardware has 2^-127); byte 255, NaN, is never produced.
struct E8M0 {
  /// The smallest power of two that is at least `value`, which must be positive and at most 2^127;
  /// byte 0 up to 2^-127.
  [[nodiscard]] static HALFTONE_HD constexpr std::uint32_t encode_up(float value) {
    constexpr std::uint32_t half_of_smallest_normal = 0x0040'0000U;  // 2^-127
    const std::uint32_t all = bits(value);
    return all <= half_of_smallest_normal ? 0U : (all + 0x007F'FFFFU) >> 23;
  }

  [[nodiscard]] static HALFTONE_HD constexpr float decode(std::uint8_t code) {
    return from_bits(code == 0xFF ? 0x7FC0'0000U : static_cast<std::uint32_t>(code) << 23);
  }

  /// 1 / decode(code) for codes of 1 to 253, 0 for code 0.
  [[nodiscard]] static HALFTONE_HD constexpr float decode_inverse(std::uint8_t code) {
    return code == 0 ? 0.0F : from_bits((254U - code) << 23);
  }
};

}  // namespace halftone::codec
