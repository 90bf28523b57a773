#pragma once

#include <halftone/format.hpp>

namespace halftone::formats {

/// Whether the fast product of ComfyUI takes a layer of this shape; where it does not, the layer loads and fails
/// at its first product, unless its label asks for full precision.
[[nodiscard]] inline bool product_takes(const FormatDescriptor& format, const Shape& shape) {
  const std::uint32_t alignment = format.facts().matmul_alignment;
  return shape.size() != 2 || (shape[0] % alignment == 0 && shape[1] % alignment == 0);
}

}  // namespace halftone::formats
