#include <halftone/tensor.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/checked.hpp"
#include "base/fail.hpp"

namespace halftone {

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::uint64_t element_count(const Shape& shape) {
  std::uint64_t count = 1;
  for (const std::uint64_t extent : shape) {
    const auto product = base::checked_mul(count, extent);
    if (!product) fail(ErrorKind::size_overflow, "the shape {} has more than 2^64 elements", to_string(shape));
    count = *product;
  }
  return count;
}

std::uint64_t byte_count(Dtype dtype, const Shape& shape) {
  const auto bits = base::checked_mul(element_count(shape), bits_of(dtype));
  if (!bits) fail(ErrorKind::size_overflow, "the shape {} of {} has more than 2^64 bits", to_string(shape), name_of(dtype));
  if (*bits % 8 != 0) {
    fail(ErrorKind::misaligned_bits, "the shape {} of {} takes {} bits, which is no whole number of bytes", to_string(shape),
         name_of(dtype), *bits);
  }
  return *bits / 8;
}

}  // namespace halftone
