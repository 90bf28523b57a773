#pragma once

#include <cstdint>
#include <optional>

namespace halftone::base {

/// a * b, or nothing where it does not fit.
[[nodiscard]] inline std::optional<std::uint64_t> checked_mul(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

/// a + b, or nothing where it does not fit.
[[nodiscard]] inline std::optional<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

/// The smallest multiple of `step` that is at least `value`; `step` must not be 0.
[[nodiscard]] constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t step) noexcept {
  return (value + step - 1) / step * step;
}

/// The number of pieces of `step` that cover `value`; `step` must not be 0.
[[nodiscard]] constexpr std::uint64_t ceil_div(std::uint64_t value, std::uint64_t step) noexcept {
  return value / step + (value % step != 0 ? 1 : 0);
}

}  // namespace halftone::base
