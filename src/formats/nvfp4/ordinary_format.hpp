#pragma once

#include <halftone/codec/minifloat.hpp>
#include <halftone/codec/quotient.hpp>

#include "formats/nvfp4/format.hpp"

namespace halftone::formats::nvfp4 {

/// The same scales and codes by quotients that need no care for their range, where the scale of the whole weight serves().
struct OrdinaryFormat : Format {
  /// The scales of groups are then at least 2^-49, or 0.  Quotients below 2^-60, the last place of which may be off, are far
  /// below all that they are made of.
  [[nodiscard]] static HALFTONE_HD bool serves(float tensor) { return tensor >= 0x1p-40F && tensor <= 0x1p8F; }

  [[nodiscard]] static HALFTONE_HD ByteScale scale_from_amax(float amax, float tensor) {
    // Inputs of layers may be any larger than their scale says; the scale of a group ends at 2688 times of it.
    const float most = 4096.0F * tensor;
    const float group = codec::ordinary_quotient(amax > most ? most : amax, codec::E2M1::max_value());
    const auto stored = static_cast<std::uint8_t>(codec::E4M3::encode_saturating(codec::ordinary_quotient(group, tensor)));
    return {decode_operand(stored, tensor), stored};
  }
  /// With a scale of 0 the quotient is not a number, and the code +0.
  [[nodiscard]] static HALFTONE_HD std::uint32_t encode(float weight, float scale) {
    const std::uint32_t code = codec::E2M1::with_sign_of(weight, codec::ordinary_quotient(codec::magnitude(weight), scale));
    return scale > 0.0F ? code : 0U;
  }
};

}  // namespace halftone::formats::nvfp4
