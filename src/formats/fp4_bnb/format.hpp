#pragma once

#include <halftone/codec/codebook.hpp>
#include <halftone/format.hpp>

#include "formats/codebook_format.hpp"
#include "formats/format_traits.hpp"

namespace halftone::formats::fp4_bnb {

/// FP4 in the layout of bitsandbytes.
struct Format : BnbCodes<codec::BnbFp4> {};

/// Names, shapes and JSON of the format.
[[nodiscard]] const FormatDescriptor& descriptor();

}  // namespace halftone::formats::fp4_bnb
