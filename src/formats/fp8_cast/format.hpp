#pragma once

#include <halftone/codec/minifloat.hpp>
#include <halftone/format.hpp>

#include "formats/scale_chains.hpp"

namespace halftone::formats::fp8_cast {

/// FP8 E4M3 without a scale.
struct Format : NoScale<codec::E4M3> {
  static constexpr ScaleGrid kGrid = ScaleGrid::none;
};

/// Names, shapes and JSON of the format.
[[nodiscard]] const FormatDescriptor& descriptor();

}  // namespace halftone::formats::fp8_cast
