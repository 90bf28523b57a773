#pragma once

#include <array>
#include <cstddef>

#include <halftone/format.hpp>

namespace halftone::formats {

// NF4 and FP4 have one set of codes in two layouts, which differ in the order of the two codes of a byte and, for
// FP4, in the order of the table.

/// The format of the same codes in the layout of bitsandbytes, or in that of convert_to_quant; null for other formats.
[[nodiscard]] const FormatDescriptor* in_layout(const FormatDescriptor& format, bool bitsandbytes);

/// What the bytes of one layout become in the other.
struct Recoding {
  std::array<std::byte, 256> bytes;
  std::byte filling;  ///< two codes of zero, behind the last weight
};

/// How codes of `from` become codes of `to`; both must be of one set.
[[nodiscard]] Recoding recoding(const FormatDescriptor& from, const FormatDescriptor& to);

}  // namespace halftone::formats
