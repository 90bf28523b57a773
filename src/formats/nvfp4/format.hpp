#pragma once

#include <halftone/codec/minifloat.hpp>
#include <halftone/codec/quotient.hpp>
#include <halftone/format.hpp>

#include "formats/format_traits.hpp"

namespace halftone::formats::nvfp4 {

/// FP4 E2M1 with an E4M3 scale for each 16 columns of a row, under one F32 scale for the whole weight.
///
/// The chain is that of comfy-kitchen's eager quantize_nvfp4 on a CPU; every step is one rounding.
struct Format {
  static constexpr ScaleGrid kGrid = ScaleGrid::run;
  static constexpr std::uint32_t kRun = 16;
  static constexpr Packing kPacking = Packing::high_nibble_first;

  /// fl(amax / 2688), which is 448 · 6; 1 where that is 0, so that a weight of zeros has finite scales.
  [[nodiscard]] static HALFTONE_HD float tensor_scale(float amax) {
    const float scale = amax / (codec::E4M3::max_value() * codec::E2M1::max_value());
    return scale > 0.0F ? scale : 1.0F;
  }
  [[nodiscard]] static HALFTONE_HD ByteScale scale_from_amax(float amax, float tensor) {
    const float group = amax / codec::E2M1::max_value();
    const auto stored = static_cast<std::uint8_t>(codec::E4M3::encode_saturating(group / tensor));
    return {decode_operand(stored, tensor), stored};
  }
  /// The plain scale of the whole weight, and one with which the scales of groups end at 256, so that they can also be
  /// chosen larger than the plain ones.  (Very small groups find fewer scales below it, so it is not always better.)
  static constexpr int kTensorCandidates = 2;
  [[nodiscard]] static HALFTONE_HD float tensor_factor(int i) { return i == 0 ? 1.0F : codec::E4M3::max_value() / 256.0F; }
  /// The plain scale, then every E4M3 scale from 0.6 to 1.75 times of it, the smallest first; where those
  /// are fewer, the last again.
  static constexpr int kCandidates = 15;
  [[nodiscard]] static HALFTONE_HD ByteScale candidate(float amax, float tensor, int i) {
    const float ratio = amax / codec::E2M1::max_value() / tensor;
    const std::uint32_t lowest = codec::E4M3::encode_saturating(ratio * 0.6F);
    const std::uint32_t highest = codec::E4M3::encode_saturating(ratio * 1.75F);
    const std::uint32_t wanted = lowest + static_cast<std::uint32_t>(i) - 1U;
    const std::uint32_t code = i == 0 ? codec::E4M3::encode_saturating(ratio) : wanted < highest ? wanted : highest;
    const auto stored = static_cast<std::uint8_t>(code);
    return {decode_operand(stored, tensor), stored};
  }
  /// A group whose scale is too small for E4M3 loses everything: codes of +0.
  [[nodiscard]] static HALFTONE_HD std::uint32_t encode(float weight, float scale) {
    const std::uint32_t code = codec::E2M1::with_sign_of(weight, codec::quotient(codec::magnitude(weight), scale));
    return scale > 0.0F ? code : 0U;
  }
  [[nodiscard]] static HALFTONE_HD float decode_operand(std::uint8_t stored, float tensor) { return tensor * codec::E4M3::decode(stored); }
  [[nodiscard]] static HALFTONE_HD float nearest(float magnitude, float scale, float) {
    return codec::E2M1::round_magnitude(magnitude / scale) * scale;
  }
  [[nodiscard]] static HALFTONE_HD float decode(std::uint8_t code, float scale) { return scaled(codec::E2M1::decode(code), scale); }
};

/// Names, shapes and JSON of the format.
[[nodiscard]] const FormatDescriptor& descriptor();

}  // namespace halftone::formats::nvfp4
