#pragma once

#include <halftone/codec/integer.hpp>
#include <halftone/codec/minifloat.hpp>
#include <halftone/codec/quotient.hpp>

#include "formats/mxfp8/format.hpp"
#include "formats/nvfp4/format.hpp"
#include "formats/scale_chains.hpp"
#include "formats/w4a4_convrot/format.hpp"

namespace halftone::ops {

// The maths of inputs that are quantized for a product, in the form of formats (formats/format_traits.hpp), so that the
// kernels for weights serve them, too.

/// stored = encode = max(fl(amax / max), smallest), codes = codec(fl(x / encode)), as ComfyUI's kernels for inputs.
/// `SmallestBits`: of the smallest scale.
template <class Codec, ScaleGrid Grid, std::uint32_t SmallestBits>
struct InputChain {
  static constexpr ScaleGrid kGrid = Grid;

  [[nodiscard]] static HALFTONE_HD formats::Scale scale_from_amax(float amax) {
    const float stored = codec::larger(amax / Codec::max_value(), codec::from_bits(SmallestBits));
    return {stored, stored};
  }
  [[nodiscard]] static HALFTONE_HD std::uint32_t encode(float value, float scale) {
    return Codec::encode_saturating(codec::quotient(value, scale));
  }
  [[nodiscard]] static HALFTONE_HD float decode(std::uint8_t code, float scale) { return formats::scaled(Codec::decode(code), scale); }
};

inline constexpr std::uint32_t kSmallestFp8Scale = 0x2B8C'BCCCU;   ///< 1e-12
inline constexpr std::uint32_t kSmallestInt8Scale = 0x0DA2'4260U;  ///< 1e-30

/// The encoding operand is the stored scale, so that a scale that is given serves as well as one that is made.
struct Fp8Tensor : InputChain<codec::E4M3, ScaleGrid::tensor, kSmallestFp8Scale> {};
struct Fp8Row : InputChain<codec::E4M3, ScaleGrid::row, kSmallestFp8Scale> {};
/// As the format fp8-block has it for a block.
struct Fp8Run : formats::ReciprocalChain<codec::E4M3> {
  static constexpr ScaleGrid kGrid = ScaleGrid::run;
};
struct Int8Row : InputChain<codec::Int8, ScaleGrid::row, kSmallestInt8Scale> {
  static constexpr bool kRotates = true;
  template <int Added>
  [[nodiscard]] static HALFTONE_HD std::uint32_t encode_within(float value, float scale) {
    return codec::Int8::encode_within<Added>(codec::quotient(value, scale));
  }
};
/// As the format int8-block has it for a block.
struct Int8Run : formats::DivisionChain<codec::Int8> {
  static constexpr ScaleGrid kGrid = ScaleGrid::run;
};
/// Inputs of w4a4-convrot with each code in a byte of its own, for products in INT8.
struct Int4RowBytes {
  static constexpr ScaleGrid kGrid = ScaleGrid::row;
  static constexpr bool kRotates = true;
  using Packed = formats::w4a4_convrot::Format;

  [[nodiscard]] static HALFTONE_HD formats::Scale scale_from_amax(float amax) { return Packed::scale_from_amax(amax); }
  [[nodiscard]] static HALFTONE_HD std::uint32_t encode(float value, float scale) {
    return codec::Int8::encode_saturating(codec::Int4::decode(static_cast<std::uint8_t>(Packed::encode(value, scale))));
  }
  /// The bits above those of INT4 are those of INT8 already.
  template <int Added>
  [[nodiscard]] static HALFTONE_HD std::uint32_t encode_within(float value, float scale) {
    return Packed::encode_within<Added>(value, scale);
  }
  [[nodiscard]] static HALFTONE_HD float decode(std::uint8_t code, float scale) {
    return formats::scaled(codec::Int8::decode(code), scale);
  }
};

}  // namespace halftone::ops
