#pragma once

#include <halftone/format.hpp>

#include "formats/format_traits.hpp"
#include "formats/int8_row/format.hpp"

namespace halftone::formats::int8_convrot {

/// INT8, one scale for each row, of a weight that was rotated along its rows.
struct Format : int8_row::Format {
  static constexpr bool kRotates = true;
  template <int Added>
  [[nodiscard]] static HALFTONE_HD std::uint32_t encode_within(float weight, float scale) {
    return Codec::encode_within<Added>(weight * scale);
  }
};

/// Names, shapes and JSON of the format.
[[nodiscard]] const FormatDescriptor& descriptor();

}  // namespace halftone::formats::int8_convrot
