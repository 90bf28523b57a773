#pragma once

#include <halftone/codec/integer.hpp>
#include <halftone/codec/quotient.hpp>
#include <halftone/format.hpp>

#include "formats/format_traits.hpp"
#include "formats/scale_search.hpp"

namespace halftone::formats::w4a4_convrot {

/// INT4, one scale for each row, of a weight that was rotated along its rows; the loader rounds
/// activations to four bits, too.  The chain is that of comfy-kitchen, computed in binary32 throughout.
struct Format : ClippingSearch {
  static constexpr ScaleGrid kGrid = ScaleGrid::row;
  static constexpr bool kRotates = true;
  static constexpr Packing kPacking = Packing::low_nibble_first;

  [[nodiscard]] static HALFTONE_HD Scale scale_from_amax(float amax) {
    constexpr float smallest = 1e-10F;
    const float stored = codec::larger(amax, smallest) / codec::Int4::max_value();
    return {stored, stored};
  }
  [[nodiscard]] static HALFTONE_HD std::uint32_t encode(float weight, float scale) {
    return codec::Int4::encode_saturating(codec::ordinary_quotient(weight, scale));
  }
  [[nodiscard]] static HALFTONE_HD float nearest(float magnitude, float scale, float stored) {
    return codec::Int4::round_magnitude(codec::ordinary_quotient(magnitude, scale)) * stored;
  }
  template <int Added>
  [[nodiscard]] static HALFTONE_HD std::uint32_t encode_within(float weight, float scale) {
    return codec::Int4::encode_within<Added>(codec::ordinary_quotient(weight, scale));
  }
  [[nodiscard]] static HALFTONE_HD float decode(std::uint8_t code, float scale) { return scaled(codec::Int4::decode(code), scale); }
};

/// Names, shapes and JSON of the format.
[[nodiscard]] const FormatDescriptor& descriptor();

}  // namespace halftone::formats::w4a4_convrot
