#pragma once

#include <halftone/codec/integer.hpp>
#include <halftone/format.hpp>

#include "formats/scale_chains.hpp"
#include "formats/scale_search.hpp"

namespace halftone::formats::int8 {

/// INT8, one scale for the whole tensor.
struct Format : QuotientChain<codec::Int8>, ClippingSearch {
  static constexpr ScaleGrid kGrid = ScaleGrid::tensor;
};

/// Names, shapes and JSON of the format.
[[nodiscard]] const FormatDescriptor& descriptor();

}  // namespace halftone::formats::int8
