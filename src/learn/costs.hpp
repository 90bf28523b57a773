#pragma once

#include <cstdint>

namespace halftone::learn {

/// A weight and the rank of a basis; what they have elements of.
struct Extent {
  std::uint64_t rows;
  std::uint64_t columns;
  std::uint64_t rank;

  [[nodiscard]] std::uint64_t weight() const { return rows * columns; }
  [[nodiscard]] std::uint64_t sides() const { return rows + columns; }
  [[nodiscard]] std::uint64_t moments() const { return columns * columns; }
};

/// Multiplications of products and factors, and what is done to elements in terms of them.
struct Work {
  double products = 0;
  double elements = 0;
};

inline Work& operator+=(Work& a, const Work& b) {
  a.products += b.products;
  a.elements += b.elements;
  return a;
}
[[nodiscard]] inline Work operator*(double factor, const Work& work) { return {factor * work.products, factor * work.elements}; }

/// Bytes while a basis is found.
[[nodiscard]] std::uint64_t basis_search_bytes(const Extent& extent);
/// Bytes of a basis.
[[nodiscard]] std::uint64_t basis_bytes(const Extent& extent);
/// Bytes of roundings in view of the error in a basis, besides the basis.
[[nodiscard]] std::uint64_t projection_bytes(const Extent& extent);

/// Finding a basis.
[[nodiscard]] Work basis_work(const Extent& extent, int power_iterations);
/// Measuring a loss, and taking its gradient.
[[nodiscard]] Work slope_work(const Extent& extent);
/// `passes` roundings in view of the error in a basis.
[[nodiscard]] Work projection_work(const Extent& extent, double passes);

}  // namespace halftone::learn
