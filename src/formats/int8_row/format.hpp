#pragma once

#include <halftone/codec/integer.hpp>
#include <halftone/format.hpp>

#include "formats/scale_chains.hpp"

namespace halftone::formats::int8_row {

/// INT8, one scale for each row.
struct Format : ReciprocalChain<codec::Int8> {
  static constexpr ScaleGrid kGrid = ScaleGrid::row;
};

/// Names, shapes and JSON of the format.
[[nodiscard]] const FormatDescriptor& descriptor();

}  // namespace halftone::formats::int8_row
