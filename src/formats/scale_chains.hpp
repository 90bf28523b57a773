#pragma once

#include <halftone/codec/device.hpp>
#include <halftone/codec/hd.hpp>

namespace halftone::formats {

/// A scale as it is used and as it is stored.
template <class Stored>
struct BasicScale {
  float encode;   ///< the operand that encode() takes
  Stored stored;  ///< as the file holds it; a float is the multiplier that dequantizes
};
using Scale = BasicScale<float>;
using ByteScale = BasicScale<std::uint8_t>;

// Each chain below is a sequence of separately rounded binary32 operations and reproduces
// convert_to_quant (July 2026) on PyTorch's CPU path bit for bit.  No step may be fused,
// reordered or replaced by its algebraic equal: over the 128 mantissas of a bfloat16 maximum,
// max / amax differs from the chain below in 33 cases.

// Each chain names its Codec and what encode() does with its operand before the codec, for kernels that
// do the same for many weights at once.

/// What becomes of the operand of encode().
enum class Operand : std::uint8_t { unused, factor, divisor };

/// Smallest maximum that a chain works with: 1e-12 in binary32.
inline constexpr float kSmallestAmax = 1e-12F;

/// value * scale.  NaN is spelled out, the quiet one with the sign of `value`: the NaN of a product
/// keeps an operand's payload on x86 and is 0x7FFFFFFF on NVIDIA.
[[nodiscard]] HALFTONE_HD float scaled(float value, float scale) {
  const float product = value * scale;
  const std::uint32_t nan = (codec::bits(value) & codec::kSignMask) | 0x7FC0'0000U;
  return product == product ? product : codec::from_bits(nan);
}

/// encode = fl(fl(1 / amax) * max), stored = fl(1 / encode), codes = codec(fl(w * encode)).
/// PyTorch evaluates `max / tensor` as reciprocal, then product: two roundings.
template <class C>
struct ReciprocalChain {
  using Codec = C;
  static constexpr Operand kOperand = Operand::factor;
  [[nodiscard]] static HALFTONE_HD Scale scale_from_amax(float amax) {
    const float bounded = codec::larger(amax, kSmallestAmax);
    const float encode = (1.0F / bounded) * Codec::max_value();
    return {encode, 1.0F / encode};
  }
  [[nodiscard]] static HALFTONE_HD std::uint32_t encode(float weight, float scale) { return Codec::encode_saturating(weight * scale); }
  [[nodiscard]] static HALFTONE_HD float decode(std::uint8_t code, float stored) { return scaled(Codec::decode(code), stored); }
  [[nodiscard]] static HALFTONE_HD float nearest(float magnitude, float scale, float stored) {
    return Codec::round_magnitude(magnitude * scale) * stored;
  }
};

/// stored = fl(amax / max), encode = fl(1 / stored), codes = codec(fl(w * encode)).
template <class C>
struct QuotientChain {
  using Codec = C;
  static constexpr Operand kOperand = Operand::factor;
  [[nodiscard]] static HALFTONE_HD Scale scale_from_amax(float amax) {
    const float stored = codec::larger(amax, kSmallestAmax) / Codec::max_value();
    return {1.0F / stored, stored};
  }
  [[nodiscard]] static HALFTONE_HD std::uint32_t encode(float weight, float scale) { return Codec::encode_saturating(weight * scale); }
  [[nodiscard]] static HALFTONE_HD float decode(std::uint8_t code, float stored) { return scaled(Codec::decode(code), stored); }
  [[nodiscard]] static HALFTONE_HD float nearest(float magnitude, float scale, float stored) {
    return Codec::round_magnitude(magnitude * scale) * stored;
  }
};

/// stored = encode = max(fl(amax / max), 1e-8), codes = codec(fl(w / encode)): a true division.
template <class C>
struct DivisionChain {
  using Codec = C;
  static constexpr Operand kOperand = Operand::divisor;
  static constexpr float kSmallestScale = 1e-8F;
  [[nodiscard]] static HALFTONE_HD Scale scale_from_amax(float amax) {
    const float stored = codec::larger(amax / Codec::max_value(), kSmallestScale);
    return {stored, stored};
  }
  [[nodiscard]] static HALFTONE_HD std::uint32_t encode(float weight, float scale) {
    return Codec::encode_saturating(divided(weight, scale));
  }
  [[nodiscard]] static HALFTONE_HD float decode(std::uint8_t code, float stored) { return scaled(Codec::decode(code), stored); }
  [[nodiscard]] static HALFTONE_HD float nearest(float magnitude, float scale, float stored) {
    return Codec::round_magnitude(divided(magnitude, scale)) * stored;
  }

 private:
  [[nodiscard]] static HALFTONE_HD float divided(float weight, float scale) {
#if HALFTONE_DEVICE_CONVERSIONS
    // Inexact only for quotients far below 1/2, which are code 0, and for those that saturate.
    return codec::device::divide(weight, scale);
#else
    return weight / scale;
#endif
  }
};

/// No scale: the value itself is rounded.
template <class C>
struct NoScale {
  using Codec = C;
  static constexpr Operand kOperand = Operand::unused;
  [[nodiscard]] static HALFTONE_HD Scale scale_from_amax(float) { return {1.0F, 1.0F}; }
  [[nodiscard]] static HALFTONE_HD std::uint32_t encode(float weight, float) { return Codec::encode_saturating(weight); }
  [[nodiscard]] static HALFTONE_HD float decode(std::uint8_t code, float) { return Codec::decode(code); }
};

}  // namespace halftone::formats
