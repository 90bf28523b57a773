#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <halftone/dtype.hpp>

#include "formats/layer_layout.hpp"

namespace halftone::cpu {

/// How far ahead of an element memory is read, in bytes; measured best of 1 to 8 KiB.
inline constexpr std::size_t kAhead = 4096;
/// The largest strip that a second-level cache holds beside the next one.
inline constexpr std::size_t kMostAhead = 512 << 10;

/// A rectangle of whole groups that is quantized at once: `height` rows of `columns` elements, whose
/// groups take `width` columns and all of its rows.
struct Strip {
  const std::byte* source;
  Dtype dtype;
  std::uint64_t height;
  std::uint64_t columns;
  std::uint64_t source_stride;  ///< bytes from one row to the next
  std::uint64_t width;
  std::byte* codes;
  std::uint64_t code_stride;  ///< bytes from one row of codes to the next
  std::byte* scales;
  std::size_t ahead;  ///< bytes from an element to that of the next strip
};

/// How a band is cut into strips: small enough for the second-level cache, so that the second
/// reading of an element finds it there, and large enough to be worth a call.
struct Strips {
  Strips(const formats::LayerLayout& layout, std::uint64_t bytes) : rows(layout.group_rows()), element_bytes(bytes) {
    const std::uint64_t elements = kStripBytes / element_bytes;
    const std::uint64_t width = layout.group_columns();
    columns = std::max<std::uint64_t>(elements / rows / width, 1) * width;
    if (rows == 1 && width == layout.columns()) {
      rows = std::max<std::uint64_t>(kShortElements / width, 1);
      columns = rows * width;
    }
    ahead = std::max<std::size_t>(columns * element_bytes, kAhead);
    if (columns * rows * element_bytes > kMostAhead) ahead = kAhead;
  }

  std::uint64_t rows;
  std::uint64_t columns;
  std::uint64_t element_bytes;
  std::size_t ahead;

 private:
  static constexpr std::uint64_t kStripBytes = 256 << 10;
  static constexpr std::uint64_t kShortElements = 8192;
};

}  // namespace halftone::cpu
