#pragma once

#include <halftone/codec/minifloat.hpp>
#include <halftone/format.hpp>

#include "formats/scale_chains.hpp"

namespace halftone::formats::fp8 {

/// FP8 E4M3, one scale for the whole tensor.
struct Format : ReciprocalChain<codec::E4M3> {
  static constexpr ScaleGrid kGrid = ScaleGrid::tensor;
};

/// Names, shapes and JSON of the format.
[[nodiscard]] const FormatDescriptor& descriptor();

}  // namespace halftone::formats::fp8
