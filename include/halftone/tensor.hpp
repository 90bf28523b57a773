#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <halftone/dtype.hpp>

namespace halftone {

/// Dimensions of a tensor in elements, outermost first; empty for a 0-dimensional tensor.
using Shape = std::vector<std::uint64_t>;

/// "[130, 80]"; "[]" for a 0-dimensional tensor.
[[nodiscard]] std::string to_string(const Shape& shape);

/// Number of elements; 1 for a 0-dimensional tensor.  Throws size_overflow.
[[nodiscard]] std::uint64_t element_count(const Shape& shape);

/// Number of bytes that `shape` elements of `dtype` take.
/// Throws size_overflow, or misaligned_bits where sub-byte elements do not fill whole bytes.
[[nodiscard]] std::uint64_t byte_count(Dtype dtype, const Shape& shape);

/// One tensor of a file.  `begin` and `end` are byte offsets into the data section, end exclusive.
struct TensorInfo {
  std::string name;
  Dtype dtype{};
  Shape shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  [[nodiscard]] std::uint64_t bytes() const noexcept { return end - begin; }
  friend bool operator==(const TensorInfo&, const TensorInfo&) = default;
};

}  // namespace halftone
