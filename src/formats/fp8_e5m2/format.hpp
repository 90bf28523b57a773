#pragma once

#include <halftone/codec/minifloat.hpp>
#include <halftone/format.hpp>

#include "formats/scale_chains.hpp"

namespace halftone::formats::fp8_e5m2 {

/// FP8 E5M2, one scale for the whole tensor.
struct Format : ReciprocalChain<codec::E5M2> {
  static constexpr ScaleGrid kGrid = ScaleGrid::tensor;
};

/// Names, shapes and JSON of the format.
[[nodiscard]] const FormatDescriptor& descriptor();

}  // namespace halftone::formats::fp8_e5m2
