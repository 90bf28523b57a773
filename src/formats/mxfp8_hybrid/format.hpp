#pragma once

#include <halftone/format.hpp>

#include "formats/format_traits.hpp"
#include "formats/mxfp8/format.hpp"

namespace halftone::formats::mxfp8_hybrid {

/// MXFP8 with the largest of its scales once more as an F32 scalar, which a loader without MXFP8 kernels
/// takes for the scale of the whole weight.
struct Format : mxfp8::Format {};

/// Names, shapes and JSON of the format.
[[nodiscard]] const FormatDescriptor& descriptor();

}  // namespace halftone::formats::mxfp8_hybrid
