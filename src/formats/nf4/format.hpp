#pragma once

#include <halftone/codec/codebook.hpp>
#include <halftone/format.hpp>

#include "formats/codebook_format.hpp"
#include "formats/format_traits.hpp"

namespace halftone::formats::nf4 {

/// NF4 in the layout of convert_to_quant, December 2025.
struct Format : SearchedCodes<codec::Nf4> {};

/// Names, shapes and JSON of the format.
[[nodiscard]] const FormatDescriptor& descriptor();

}  // namespace halftone::formats::nf4
