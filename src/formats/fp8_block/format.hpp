#pragma once

#include <halftone/codec/minifloat.hpp>
#include <halftone/format.hpp>

#include "formats/scale_chains.hpp"
#include "formats/scale_search.hpp"

namespace halftone::formats::fp8_block {

/// FP8 E4M3, one scale for each square block.
struct Format : ReciprocalChain<codec::E4M3>, MantissaSearch {
  static constexpr ScaleGrid kGrid = ScaleGrid::block;
};

/// Names, shapes and JSON of the format.
[[nodiscard]] const FormatDescriptor& descriptor();

}  // namespace halftone::formats::fp8_block
