#pragma once

#include <halftone/codec/e8m0.hpp>
#include <halftone/codec/minifloat.hpp>
#include <halftone/format.hpp>

#include "formats/format_traits.hpp"

namespace halftone::formats::mxfp8 {

/// FP8 E4M3 with a power of two as the scale of each 32 columns of a row (OCP Microscaling, E8M0 scales).
///
/// The chain is that of comfy-kitchen's eager quantize_mxfp8 on a CPU, with the exponent rounded up exactly.
struct Format {
  static constexpr ScaleGrid kGrid = ScaleGrid::run;
  static constexpr std::uint32_t kRun = 32;

  [[nodiscard]] static HALFTONE_HD ByteScale scale_from_amax(float amax) {
    const auto stored = static_cast<std::uint8_t>(codec::E8M0::encode_up(amax / codec::E4M3::max_value()));
    return {codec::E8M0::decode_inverse(stored), stored};
  }
  /// A group whose scale is 0 (a largest magnitude of at most 448 · 2^-127) has codes of +0.
  [[nodiscard]] static HALFTONE_HD std::uint32_t encode(float weight, float inverse_scale) {
    const std::uint32_t code = codec::E4M3::encode_saturating(weight * inverse_scale);
    return inverse_scale > 0.0F ? code : 0U;
  }
  [[nodiscard]] static HALFTONE_HD float decode_operand(std::uint8_t stored, float) { return codec::E8M0::decode(stored); }
  [[nodiscard]] static HALFTONE_HD float decode(std::uint8_t code, float scale) { return scaled(codec::E4M3::decode(code), scale); }
};

/// Names, shapes and JSON of the format.
[[nodiscard]] const FormatDescriptor& descriptor();

}  // namespace halftone::formats::mxfp8
