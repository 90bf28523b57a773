#pragma once

#include <halftone/codec/device.hpp>
#include <halftone/codec/hd.hpp>

namespace halftone::codec {

/// A float `s e… m…` of `Bits` bits, 8 at most, with subnormals.  Codes are returned in the low bits
/// of a word: narrowing them at once makes compilers narrow the arithmetic too, which is slower.
///
/// `MaxCode` is the code of the largest finite value;
/// `OverflowCode` is what PyTorch's conversion gives for anything that rounds beyond it.
///
/// Rounding is to nearest, ties to even, without branches: see code_of().
template <int Bits, int ManBits, int Bias, std::uint8_t MaxCode, std::uint8_t OverflowCode, std::uint8_t NanCode>
struct Minifloat {
  /// How far the sign bit of a binary32 is from that of a code.
  static constexpr int kSignShift = 32 - Bits;
  static constexpr std::uint32_t kSign = 1U << (Bits - 1);
  static constexpr int kShift = 23 - ManBits;
  static constexpr std::uint32_t kRebias = static_cast<std::uint32_t>(127 - Bias) << ManBits;
  /// Bits of the smallest normal value, 2^(1-Bias).
  static constexpr std::uint32_t kMinNormal = static_cast<std::uint32_t>(128 - Bias) << 23;
  /// Bits of 2^(23 + 1 - Bias - ManBits), whose unit in the last place is the subnormal step.
  static constexpr std::uint32_t kMagic = static_cast<std::uint32_t>(127 + 23 + 1 - Bias - ManBits) << 23;
  /// Bits of 2^(Bias + ManBits - 1): so many subnormal steps make 1.
  static constexpr std::uint32_t kStepsPerUnit = static_cast<std::uint32_t>(127 + Bias + ManBits - 1) << 23;
  /// Bits of the largest finite value.
  static constexpr std::uint32_t kMaxBits = (static_cast<std::uint32_t>(MaxCode) + kRebias) << kShift;

  /// Largest finite value.
  [[nodiscard]] static HALFTONE_HD constexpr float max_value() { return from_bits(kMaxBits); }

  /// The code of `value` clamped to ±max_value().  `value` must not be NaN.  Keeps the sign of zero.
  [[nodiscard]] static HALFTONE_HD constexpr std::uint32_t encode_saturating(float value) {
#if HALFTONE_DEVICE_CONVERSIONS
    if constexpr (Bits == 8) {
      if (!__builtin_is_constant_evaluated()) return ManBits == 3 ? device::to_e4m3(value) : device::to_e5m2(value);
    }
#endif
    return with_sign_of(value, magnitude(value));
  }

  /// The code of `mag`, at least 0 and clamped to max_value(), with the sign of `value`.
  [[nodiscard]] static HALFTONE_HD constexpr std::uint32_t with_sign_of(float value, float mag) {
#if HALFTONE_DEVICE_CONVERSIONS
    if constexpr (Bits == 4) {
      if (!__builtin_is_constant_evaluated()) return device::to_e2m1(value, mag);
    }
#endif
    const std::uint32_t sign = (bits(value) >> kSignShift) & kSign;
    return code_of(bits(mag) < kMaxBits ? bits(mag) : kMaxBits) | sign;
  }

  /// decode(encode_saturating(mag)) without the code between; `mag` is at least 0.
  [[nodiscard]] static HALFTONE_HD constexpr float round_magnitude(float mag) {
#if HALFTONE_DEVICE_CONVERSIONS
    if (!__builtin_is_constant_evaluated()) {
      constexpr float unit = static_cast<float>(1U << kShift);
      const float clamped = fminf(mag, max_value());
      const float power = fmaxf(from_bits(bits(clamped) & kInfinityBits), from_bits(kMinNormal));
      return __fmaf_rn(power, -unit, __fmaf_rn(power, unit, clamped));
    }
#endif
    const std::uint32_t bounded = bits(mag) < kMaxBits ? bits(mag) : kMaxBits;
    const float unit = from_bits(unit_of(bounded));
    return (from_bits(bounded) + unit) - unit;
  }

  /// The code that PyTorch's conversion gives: no saturation.
  [[nodiscard]] static HALFTONE_HD constexpr std::uint32_t encode(float value) {
    const std::uint32_t all = bits(value);
    const std::uint32_t mag = all & kMagnitudeMask;
    const std::uint32_t sign = (all >> kSignShift) & kSign;
    if (mag > kInfinityBits) return NanCode | sign;
    // The midpoint above the largest finite value still rounds down where MaxCode is even.
    constexpr std::uint32_t midpoint = kMaxBits + (1U << (kShift - 1));
    constexpr bool tie_rounds_down = MaxCode % 2 == 0;
    if (mag > midpoint || (mag == midpoint && !tie_rounds_down)) return OverflowCode | sign;
    return code_of(mag < kMaxBits ? mag : kMaxBits) | sign;
  }

  /// The value of `code`, exactly.
  [[nodiscard]] static HALFTONE_HD constexpr float decode(std::uint8_t code) {
    const std::uint32_t mag = code & (kSign - 1U);
    const std::uint32_t sign = (code & kSign) << kSignShift;
#if HALFTONE_DEVICE_CONVERSIONS
    if constexpr (Bits == 8) {
      if (!__builtin_is_constant_evaluated()) {
        const float value = ManBits == 3 ? device::from_e4m3(code) : device::from_e5m2(code);
        return value == value ? value : from_bits(sign | 0x7FC0'0000U);
      }
    }
#endif
    if (mag > MaxCode) {
      const bool infinite = mag == OverflowCode && OverflowCode != NanCode;
      return from_bits(sign | (infinite ? kInfinityBits : 0x7FC0'0000U));
    }
    const float normal = from_bits((mag + kRebias) << kShift);
    // Below the smallest normal code, (magic + mag steps) - magic is mag * step without rounding.
    const float subnormal = from_bits(kMagic + mag) - from_bits(kMagic);
    const float value = mag < (1U << ManBits) ? subnormal : normal;
    return from_bits(bits(value) | sign);
  }

 private:
  /// The bits of the power of two whose last place is the step of the codes around the magnitude `mag`: adding it
  /// makes the float adder round to that step.
  [[nodiscard]] static HALFTONE_HD constexpr std::uint32_t unit_of(std::uint32_t mag) {
    const std::uint32_t exponent = mag & kInfinityBits;
    return (exponent > kMinNormal ? exponent : kMinNormal) + (static_cast<std::uint32_t>(kShift) << 23);
  }

  /// `mag`: magnitude bits of at most kMaxBits.  The low bits of the sum with `unit` count the steps.
  [[nodiscard]] static HALFTONE_HD constexpr std::uint32_t code_of(std::uint32_t mag) {
    const std::uint32_t unit = unit_of(mag);
    const std::uint32_t bounded = unit - (static_cast<std::uint32_t>(kShift) << 23);
    const std::uint32_t steps = bits(from_bits(mag) + from_bits(unit)) - unit;
    // The first binade above zero counts its steps from zero, each later one from 2^ManBits.
    return steps + (bounded >> kShift) - (kMinNormal >> kShift);
  }
};

/// FP8 E4M3FN ("F8_E4M3"): largest value 448, no infinities, overflow gives NaN.
using E4M3 = Minifloat<8, 3, 7, 0x7E, 0x7F, 0x7F>;

/// FP8 E5M2 ("F8_E5M2"): largest value 57344, overflow gives infinity.
using E5M2 = Minifloat<8, 2, 15, 0x7B, 0x7C, 0x7F>;

/// FP4 E2M1, half a byte: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives; neither infinity nor NaN.
/// encode() saturates too: there is no code for what is larger.
using E2M1 = Minifloat<4, 1, 1, 0x7, 0x7, 0x7>;

}  // namespace halftone::codec
